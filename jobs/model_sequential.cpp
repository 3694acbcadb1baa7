// `mlp` and `cnn`, layer by layer as the yardstick's nn.Sequential has them. ReLU works in place: neither a convolution
// nor a linear layer keeps its output for backward.

#include <ATen/ATen.h>

#include "jobs/model_families.hpp"

namespace regatta {

at::Tensor channels_last(const at::Tensor& images) {  // (B, C, H, W)
  if (images.scalar_type() != at::kFloat) return images;
  const std::int64_t c = images.size(1), h = images.size(2), w = images.size(3);
  // One channel is the same bytes in both layouts: only the strides can say which one is meant.
  return images.contiguous(at::MemoryFormat::ChannelsLast).as_strided(images.sizes(), {h * w * c, 1, w * c, c});
}

namespace {

/// Parameters are weight and bias by layer.
class SequentialModel : public Model {
 protected:
  using Model::Model;
  std::size_t layers() const { return parameters().size() / 2; }
  const at::Tensor& weight(std::size_t layer) const { return parameters()[2 * layer].second; }
  const at::Tensor& bias(std::size_t layer) const { return parameters()[2 * layer + 1].second; }
};

/// Flatten, then Linear and ReLU in turn; the last layer has no ReLU.
class Mlp final : public SequentialModel {
 public:
  Mlp(ModelTensors tensors, bool autocast) : SequentialModel(std::move(tensors), autocast) {}

 private:
  at::Tensor compute(const at::Tensor& inputs) override {
    at::Tensor x = inputs.flatten(1);  // (B, C*H*W)
    for (std::size_t layer = 0; layer < layers(); ++layer) {
      x = at::linear(x, weight(layer), bias(layer));
      if (layer + 1 < layers()) x = at::relu_(x);
    }
    return x;  // (B, classes)
  }
};

/// Two times 5x5 convolution, ReLU and 2x2 max pool, then one linear layer.
class Cnn final : public SequentialModel {
 public:
  Cnn(ModelTensors tensors, bool autocast) : SequentialModel(std::move(tensors), autocast) {}

 private:
  at::Tensor compute(const at::Tensor& inputs) override {
    at::Tensor x = channels_last(inputs);  // (B, C, H, W)
    for (std::size_t layer = 0; layer < 2; ++layer) {
      x = at::conv2d(x, weight(layer), bias(layer), /*stride=*/1, /*padding=*/2);
      x = at::max_pool2d(at::relu_(x), 2);  // (B, channels, H/2, W/2), then (.., H/4, W/4), rounded down
    }
    return at::linear(x.flatten(1), weight(2), bias(2));  // (B, classes)
  }
};

}  // namespace

std::unique_ptr<Model> make_mlp(ModelTensors tensors, bool autocast) {
  return std::make_unique<Mlp>(std::move(tensors), autocast);
}

std::unique_ptr<Model> make_cnn(ModelTensors tensors, bool autocast) {
  return std::make_unique<Cnn>(std::move(tensors), autocast);
}

}  // namespace regatta
