// `lstm`: characters to vectors, an LSTM over the sample, one linear layer over each of its outputs. at::lstm is what
// nn.LSTM calls; on the CPU it takes oneDNN's kernels. In bfloat16 the layers are our own.

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>

#include <optional>

#include "jobs/linear.hpp"
#include "jobs/lstm_layer.hpp"
#include "jobs/model_families.hpp"

namespace regatta {
namespace {

constexpr std::size_t kTensorsPerLayer = 4;  // weight_ih, weight_hh, bias_ih, bias_hh

class Lstm final : public Model {
 public:
  Lstm(ModelTensors all_tensors, Autocast autocast, const LayerKernels& kernels)
      : Model(std::move(all_tensors), autocast), own_layers_(kernels.lstm), last_(tensors(), "fc", kernels.linear) {
    const NamedTensors& all = parameters();  // emb.weight, the layers', fc.weight, fc.bias
    for (std::size_t i = 1; i + 2 < all.size(); ++i) recurrent_.push_back(all[i].second);
    join_weights();
  }

 private:
  /// cuDNN wants the recurrent weights in one piece of memory, or makes one of them in each call.
  void join_weights() {
    const at::Tensor& hidden = recurrent_[1];
    if (!at::cudnn_is_acceptable(hidden)) return;
    const c10::NoGradGuard no_grad;
    constexpr std::int64_t kLstmMode = 2;  // as at::native's RNN.cpp numbers cuDNN's cells
    const auto layers = static_cast<std::int64_t>(recurrent_.size() / kTensorsPerLayer);
    at::_cudnn_rnn_flatten_weight(recurrent_, static_cast<std::int64_t>(kTensorsPerLayer), embedding().size(1),
                                  kLstmMode, hidden.size(1), /*proj_size=*/0, layers, /*batch_first=*/true,
                                  /*bidirectional=*/false);
  }

  at::Tensor compute(const at::Tensor& inputs) override {
    const at::Tensor x = at::embedding(embedding(), inputs);              // (B, L, embedding)
    return last_.forward(recurrence(x).flatten(0, 1), gradient_order());  // (B*L, classes)
  }

  /// (B, L, embedding) to (B, L, hidden)
  at::Tensor recurrence(at::Tensor x) const {
    const std::size_t layers = recurrent_.size() / kTensorsPerLayer;
    if (own_layers_ && lstm_layer_fits(x, weights_of(0))) {
      for (std::size_t layer = 0; layer < layers; ++layer) x = lstm_layer(x, weights_of(layer));
      return x;
    }
    // CUDA's autocast has float16 for cuDNN's recurrence whatever the type that was asked for (AutocastRNN.cpp); where
    // that is bfloat16, whose loss nobody scales, the recurrence stays in float32.
    std::optional<c10::impl::ExcludeDispatchKeyGuard> in_float32;
    if (x.is_cuda() && at::autocast::get_autocast_dtype(at::kCUDA) == at::kBFloat16)
      in_float32.emplace(c10::DispatchKey::AutocastCUDA);
    const at::Tensor& hidden = recurrent_[1];
    // A sample begins with no memory.
    const at::Tensor zero = at::zeros({static_cast<std::int64_t>(layers), x.size(0), hidden.size(1)}, x.options());
    return std::get<0>(at::lstm(x, {zero, zero}, recurrent_, /*has_biases=*/true, static_cast<std::int64_t>(layers),
                                /*dropout=*/0, training(), /*bidirectional=*/false, /*batch_first=*/true));
  }

  LstmWeights weights_of(std::size_t layer) const {
    const at::Tensor* const first = recurrent_.data() + layer * kTensorsPerLayer;
    return {first[0], first[1], first[2], first[3]};
  }

  const at::Tensor& embedding() const { return parameters()[0].second; }

  bool own_layers_;
  std::vector<at::Tensor> recurrent_;  // layer by layer
  LinearLayer last_;
};

}  // namespace

std::unique_ptr<Model> make_lstm(ModelTensors tensors, Autocast autocast, const LayerKernels& kernels) {
  return std::make_unique<Lstm>(std::move(tensors), autocast, kernels);
}

}  // namespace regatta
