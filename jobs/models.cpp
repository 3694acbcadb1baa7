// `cnn` and `mlp`, layer by layer as the yardstick's nn.Sequential has them, so that names and numbers can be compared
// with PyTorch. ReLU works in place: neither a convolution nor a linear layer keeps its output for backward.
//
// Initialisation as in torch.nn (Linear and Conv2d: kaiming_uniform with a = sqrt 5): weights and biases from
// U(-1/sqrt(fan_in), 1/sqrt(fan_in)). Element e of parameter i is a hash of (seed, i, e), so that nothing depends on
// the order in which numbers are drawn.

#include "jobs/models.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "common/splitmix.hpp"
#include "jobs/model_fit.hpp"

namespace regatta {
namespace {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

std::uint64_t next_mix(std::uint64_t x) {
  return mix64(x + kGoldenStride);  // so that 0 does not stay 0
}

at::ScalarType scalar_type(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return at::kFloat;
    case Precision::kFp64:
      return at::kDouble;
    default:
      throw ConfigError(
          fmt::format("train.precision: {} is not in this version; known: fp32, fp64", to_text(precision)));
  }
}

/// Makes parameters one after the other; the n-th one made draws from stream n of the seed.
class Initializer {
 public:
  Initializer(at::ScalarType type, std::uint64_t seed) : type_(type), seed_(seed) {}

  /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)), a leaf that requires grad.
  at::Tensor uniform(at::IntArrayRef shape, std::int64_t fan_in) {
    const std::uint64_t stream = next_mix(next_mix(seed_) + made_++);
    const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
    at::Tensor exact = at::empty(shape, at::kDouble);
    double* values = exact.mutable_data_ptr<double>();
    for (std::int64_t e = 0; e < exact.numel(); ++e) {
      const double unit =
          static_cast<double>(next_mix(stream + static_cast<std::uint64_t>(e)) >> 11) * 0x1p-53;  // [0, 1)
      values[e] = (2 * unit - 1) * bound;
    }
    return exact.to(type_).requires_grad_(true);
  }

 private:
  at::ScalarType type_;
  std::uint64_t seed_, made_ = 0;
};

/// A model whose parameters are weight and bias by layer. No layer here behaves differently in evaluation.
class LayeredModel : public Model {
 public:
  const NamedTensors& parameters() const override { return parameters_; }

 protected:
  /// `index` is the layer's place in the nn.Sequential. Shape of a weight: (outputs, inputs...).
  void add_layer(Initializer& initializer, int index, const std::vector<std::int64_t>& weight_shape) {
    std::int64_t fan_in = 1;
    for (std::size_t d = 1; d < weight_shape.size(); ++d) fan_in *= weight_shape[d];
    parameters_.emplace_back(fmt::format("{}.weight", index), initializer.uniform(weight_shape, fan_in));
    parameters_.emplace_back(fmt::format("{}.bias", index), initializer.uniform({weight_shape[0]}, fan_in));
  }
  std::size_t layers() const { return parameters_.size() / 2; }
  const at::Tensor& weight(std::size_t layer) const { return parameters_[2 * layer].second; }
  const at::Tensor& bias(std::size_t layer) const { return parameters_[2 * layer + 1].second; }

 private:
  NamedTensors parameters_;
};

/// Flatten, then Linear and ReLU in turn; the last layer has no ReLU.
class Mlp final : public LayeredModel {
 public:
  Mlp(std::int64_t inputs, const std::vector<std::int64_t>& hidden, std::int64_t classes, Initializer initializer) {
    int index = 1;  // 0 is Flatten
    for (const std::int64_t width : hidden) {
      add_layer(initializer, index, {width, inputs});
      inputs = width;
      index += 2;
    }
    add_layer(initializer, index, {classes, inputs});
  }

  at::Tensor forward(const at::Tensor& inputs) override {
    at::Tensor x = inputs.flatten(1);  // (B, C*H*W)
    for (std::size_t layer = 0; layer < layers(); ++layer) {
      x = at::linear(x, weight(layer), bias(layer));
      if (layer + 1 < layers()) x = at::relu_(x);
    }
    return x;  // (B, classes)
  }
};

/// The same values with channels innermost, which oneDNN's convolutions and ATen's pooling want: a step of the cnn at
/// batch 128 takes 12 ms instead of 25 in float on one core of a Zen 4 EPYC. In double ATen has only the plain layout.
at::Tensor channels_last(const at::Tensor& x) {  // (B, C, H, W)
  if (x.scalar_type() != at::kFloat) return x;
  const std::int64_t c = x.size(1), h = x.size(2), w = x.size(3);
  // One channel is the same bytes in both layouts: only the strides can say which one is meant.
  return x.contiguous(at::MemoryFormat::ChannelsLast).as_strided(x.sizes(), {h * w * c, 1, w * c, c});
}

/// Two times 5x5 convolution, ReLU and 2x2 max pool, then one linear layer.
class Cnn final : public LayeredModel {
 public:
  Cnn(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& channels, std::int64_t classes,
      Initializer initializer) {
    add_layer(initializer, 0, {channels[0], shape[0], 5, 5});
    add_layer(initializer, 3, {channels[1], channels[0], 5, 5});
    add_layer(initializer, 7, {classes, channels[1] * (shape[1] / 4) * (shape[2] / 4)});
  }

  at::Tensor forward(const at::Tensor& inputs) override {
    at::Tensor x = channels_last(inputs);  // (B, C, H, W)
    for (std::size_t layer = 0; layer < 2; ++layer) {
      x = at::conv2d(x, weight(layer), bias(layer), /*stride=*/1, /*padding=*/2);
      x = at::max_pool2d(at::relu_(x), 2);  // (B, channels, H/2, W/2), then (.., H/4, W/4), rounded down
    }
    return at::linear(x.flatten(1), weight(2), bias(2));  // (B, classes)
  }
};

}  // namespace

std::unique_ptr<Model> make_model(const ModelSpec& spec, const DatasetIndex& data, Precision precision,
                                  std::uint64_t seed) {
  const Initializer initializer(scalar_type(precision), seed);
  if (const auto misfit = model_misfit(spec, data))
    throw ConfigError(misfit->key + ": " + misfit->message + "\n  " + misfit->advice);
  const ModelSpec model = with_default_sizes(spec);
  if (model.kind == ModelKind::kMlp)
    return std::make_unique<Mlp>(data.sample_bytes(), model.hidden, data.classes, initializer);
  return std::make_unique<Cnn>(data.sample_shape, model.channels, data.classes, initializer);
}

at::Tensor loss_sum(const at::Tensor& logits, const at::Tensor& targets) {
  return at::cross_entropy_loss(logits, targets, /*weight=*/{}, at::Reduction::Sum);
}

}  // namespace regatta
