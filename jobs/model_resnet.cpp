// `resnet18` in the form for small images (He et al., arXiv 1512.03385, section 4.2): a 3x3 stem without a pool, four
// stages of two blocks, mean over the image, one linear layer. ReLU and the sum work in place: batch norm keeps what it
// read for backward and not what it wrote.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <optional>

#include "jobs/batch_norm.hpp"
#include "jobs/convolution.hpp"
#include "jobs/linear.hpp"
#include "jobs/model_families.hpp"

namespace regatta {
namespace {

/// A convolution without bias and its batch norm.
struct NormedConvolution {
  NormedConvolution(const ModelTensors& tensors, const std::string& convolution, const std::string& norm,
                    std::int64_t stride_of_it)
      : weight(tensors.at(convolution + ".weight")), batch_norm(tensors, norm), stride(stride_of_it) {}

  at::Tensor forward(const at::Tensor& x, bool own, bool training, const SumOverRanks& sum) const {
    return batch_norm.forward(convolve(x, weight, stride, own), training, sum);
  }

  at::Tensor weight;  // (outputs, inputs, K, K)
  BatchNormLayer batch_norm;
  std::int64_t stride;
};

struct Block {
  NormedConvolution first, second;
  std::optional<NormedConvolution> shortcut;  ///< where the shape changes
};

class Resnet18 final : public Model {
 public:
  Resnet18(ModelTensors all, Autocast autocast, const LayerKernels& kernels)
      : Model(std::move(all), autocast),
        own_convolutions_(kernels.convolutions),
        stem_(tensors(), "stem.0", "stem.1", /*stride=*/1),
        last_(tensors(), "fc", kernels.linear) {
    for (int i = 0; tensors().has(fmt::format("body.{}.c1.weight", i)); ++i) {
      const std::string name = fmt::format("body.{}", i);
      const std::int64_t stride = i % 2 == 0 && i > 0 ? 2 : 1;  // each stage but the first halves the image
      Block block{{tensors(), name + ".c1", name + ".b1", stride}, {tensors(), name + ".c2", name + ".b2", 1}, {}};
      if (tensors().has(name + ".sc.0.weight"))
        block.shortcut.emplace(tensors(), name + ".sc.0", name + ".sc.1", stride);
      body_.push_back(std::move(block));
    }
  }

 private:
  at::Tensor compute(const at::Tensor& inputs) override {
    at::Tensor x = apply(stem_, channels_last(inputs)).relu_();  // (B, channels, H, W)
    for (const Block& block : body_) {
      const at::Tensor inner = apply(block.first, x).relu_();
      x = apply(block.second, inner).add_(block.shortcut ? apply(*block.shortcut, x) : x).relu_();
    }
    return last_.forward(x.mean({2, 3}), gradient_order());  // (B, classes)
  }

  at::Tensor apply(const NormedConvolution& layer, const at::Tensor& x) const {
    return layer.forward(x, own_convolutions_, training(), sum_over_ranks());
  }

  bool own_convolutions_;
  NormedConvolution stem_;
  std::vector<Block> body_;
  LinearLayer last_;
};

}  // namespace

std::unique_ptr<Model> make_resnet18(ModelTensors tensors, Autocast autocast, const LayerKernels& kernels) {
  return std::make_unique<Resnet18>(std::move(tensors), autocast, kernels);
}

}  // namespace regatta
