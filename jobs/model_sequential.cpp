// `mlp` and `cnn`, layer by layer as the yardstick's nn.Sequential has them. ReLU works in place: a convolution does
// not keep its output for backward.

#include <ATen/ATen.h>

#include "jobs/linear.hpp"
#include "jobs/model_families.hpp"

namespace regatta {

at::Tensor channels_last(const at::Tensor& images) {  // (B, C, H, W)
  if (images.scalar_type() != at::kFloat) return images;
  const std::int64_t c = images.size(1), h = images.size(2), w = images.size(3);
  // One channel is the same bytes in both layouts: only the strides can say which one is meant.
  return images.contiguous(at::MemoryFormat::ChannelsLast).as_strided(images.sizes(), {h * w * c, 1, w * c, c});
}

namespace {

/// Flatten, then Linear and ReLU in turn; the last layer has no ReLU.
class Mlp final : public Model {
 public:
  Mlp(ModelTensors all, Autocast autocast, const LinearKernels& kernels) : Model(std::move(all), autocast) {
    const std::size_t layers = parameters().size() / 2;  // weight and bias by layer: "1", "3", ...
    for (std::size_t i = 0; i < layers; ++i)
      layers_.emplace_back(tensors(), std::to_string(2 * i + 1), kernels, /*relu=*/i + 1 < layers);
  }

 private:
  at::Tensor compute(const at::Tensor& inputs) override {
    at::Tensor x = inputs.flatten(1);  // (B, C*H*W)
    for (const LinearLayer& layer : layers_) x = layer.forward(x, gradient_order());
    return x;  // (B, classes)
  }

  std::vector<LinearLayer> layers_;
};

/// Two times 5x5 convolution, ReLU and 2x2 max pool, then one linear layer.
class Cnn final : public Model {
 public:
  Cnn(ModelTensors all, Autocast autocast, const LinearKernels& kernels)
      : Model(std::move(all), autocast), last_(tensors(), "7", kernels) {}

 private:
  at::Tensor compute(const at::Tensor& inputs) override {
    at::Tensor x = channels_last(inputs);  // (B, C, H, W)
    for (const std::string layer : {"0", "3"}) {
      x = at::conv2d(x, tensors().at(layer + ".weight"), tensors().at(layer + ".bias"), /*stride=*/1, /*padding=*/2);
      x = at::max_pool2d(at::relu_(x), 2);  // (B, channels, H/2, W/2), then (.., H/4, W/4), rounded down
    }
    return last_.forward(x.flatten(1), gradient_order());  // (B, classes)
  }

  LinearLayer last_;
};

}  // namespace

std::unique_ptr<Model> make_mlp(ModelTensors tensors, Autocast autocast, const LinearKernels& kernels) {
  return std::make_unique<Mlp>(std::move(tensors), autocast, kernels);
}

std::unique_ptr<Model> make_cnn(ModelTensors tensors, Autocast autocast, const LinearKernels& kernels) {
  return std::make_unique<Cnn>(std::move(tensors), autocast, kernels);
}

}  // namespace regatta
