// `lstm`: characters to vectors, an LSTM over the sample, one linear layer over each of its outputs. at::lstm is what
// nn.LSTM calls; on the CPU it takes oneDNN's kernels.

#include <ATen/ATen.h>

#include "jobs/linear.hpp"
#include "jobs/model_families.hpp"

namespace regatta {
namespace {

constexpr std::size_t kTensorsPerLayer = 4;  // weight_ih, weight_hh, bias_ih, bias_hh

class Lstm final : public Model {
 public:
  Lstm(ModelTensors all_tensors, bool autocast, const LinearKernels& kernels)
      : Model(std::move(all_tensors), autocast), last_(tensors(), "fc", kernels) {
    const NamedTensors& all = parameters();  // emb.weight, the layers', fc.weight, fc.bias
    for (std::size_t i = 1; i + 2 < all.size(); ++i) recurrent_.push_back(all[i].second);
  }

 private:
  at::Tensor compute(const at::Tensor& inputs) override {
    const at::Tensor x = at::embedding(embedding(), inputs);  // (B, L, embedding)
    const auto layers = static_cast<std::int64_t>(recurrent_.size() / kTensorsPerLayer);
    const std::int64_t hidden = recurrent_[1].size(1);
    const at::Tensor zero = at::zeros({layers, inputs.size(0), hidden}, x.options());  // a sample begins with no memory
    const at::Tensor y = std::get<0>(at::lstm(x, {zero, zero}, recurrent_, /*has_biases=*/true, layers, /*dropout=*/0,
                                              training(), /*bidirectional=*/false, /*batch_first=*/true));
    return last_.forward(y.flatten(0, 1));  // (B*L, classes)
  }

  const at::Tensor& embedding() const { return parameters()[0].second; }

  std::vector<at::Tensor> recurrent_;  // layer by layer
  LinearLayer last_;
};

}  // namespace

std::unique_ptr<Model> make_lstm(ModelTensors tensors, bool autocast, const LinearKernels& kernels) {
  return std::make_unique<Lstm>(std::move(tensors), autocast, kernels);
}

}  // namespace regatta
