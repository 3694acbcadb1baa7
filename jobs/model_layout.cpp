// One function a model, layer by layer in the order in which the yardstick's modules register them.

#include "jobs/model_layout.hpp"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "common/error.hpp"

namespace regatta {

namespace {

using Shape = std::vector<std::int64_t>;
using Kind = TensorLayout::Kind;
using Start = TensorLayout::Start;

class LayoutBuilder {
 public:
  void uniform(std::string name, Shape shape, double bound) {
    layout_.push_back({std::move(name), std::move(shape), Kind::kParameter, Start::kUniform, bound});
  }
  void normal(std::string name, Shape shape) {
    layout_.push_back({std::move(name), std::move(shape), Kind::kParameter, Start::kNormal, 0, /*autocast=*/false});
  }
  /// nn.Linear, or nn.Conv2d with a bias: weight (outputs, inputs...).
  void layer(const std::string& name, const Shape& weight) {
    const double bound = bound_of(weight);
    uniform(name + ".weight", weight, bound);
    uniform(name + ".bias", {weight[0]}, bound);
  }
  void convolution(const std::string& name, const Shape& weight) {
    uniform(name + ".weight", weight, bound_of(weight));
  }
  void batch_norm(const std::string& name, std::int64_t channels) {
    layout_.push_back({name + ".weight", {channels}, Kind::kParameter, Start::kOnes, 0, /*autocast=*/false});
    layout_.push_back({name + ".bias", {channels}, Kind::kParameter, Start::kZeros, 0, /*autocast=*/false});
    layout_.push_back({name + ".running_mean", {channels}, Kind::kStatistic, Start::kZeros});
    layout_.push_back({name + ".running_var", {channels}, Kind::kStatistic, Start::kOnes});
    layout_.push_back({name + ".num_batches_tracked", {}, Kind::kCounter, Start::kZeros});
  }
  ModelLayout take() { return std::move(layout_); }

 private:
  static double bound_of(const Shape& weight) {
    double fan_in = 1;
    for (std::size_t d = 1; d < weight.size(); ++d) fan_in *= static_cast<double>(weight[d]);
    return 1 / std::sqrt(fan_in);
  }

  ModelLayout layout_;
};

ModelLayout mlp_layout(const ModelSpec& model, const DatasetIndex& data) {
  LayoutBuilder build;
  const Shape& shape = data.sample_shape;
  std::int64_t inputs = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  int index = 1;  // in the nn.Sequential: 0 is Flatten, a ReLU follows each hidden layer
  for (const std::int64_t width : model.hidden) {
    build.layer(std::to_string(index), {width, std::exchange(inputs, width)});
    index += 2;
  }
  build.layer(std::to_string(index), {data.classes, inputs});
  return build.take();
}

ModelLayout cnn_layout(const ModelSpec& model, const DatasetIndex& data) {
  LayoutBuilder build;
  const Shape& shape = data.sample_shape;  // (C, H, W); two pools of 2 x 2 round down
  build.layer("0", {model.channels[0], shape[0], 5, 5});
  build.layer("3", {model.channels[1], model.channels[0], 5, 5});
  build.layer("7", {data.classes, model.channels[1] * (shape[1] / 4) * (shape[2] / 4)});
  return build.take();
}

/// Two convolutions; a third one on the shortcut where the shape changes.
void residual_block(LayoutBuilder& build, const std::string& name, std::int64_t inputs, std::int64_t outputs,
                    bool halves) {
  build.convolution(name + ".c1", {outputs, inputs, 3, 3});
  build.batch_norm(name + ".b1", outputs);
  build.convolution(name + ".c2", {outputs, outputs, 3, 3});
  build.batch_norm(name + ".b2", outputs);
  if (!halves && inputs == outputs) return;
  build.convolution(name + ".sc.0", {outputs, inputs, 1, 1});
  build.batch_norm(name + ".sc.1", outputs);
}

ModelLayout resnet18_layout(const ModelSpec& model, const DatasetIndex& data) {
  LayoutBuilder build;
  std::int64_t width = model.channels[0];
  build.convolution("stem.0", {width, data.sample_shape[0], 3, 3});
  build.batch_norm("stem.1", width);
  int block = 0;
  for (const std::int64_t channels : model.channels) {
    const bool halves = block > 0;  // every stage but the first
    residual_block(build, fmt::format("body.{}", block++), width, channels, halves);
    residual_block(build, fmt::format("body.{}", block++), channels, channels, false);
    width = channels;
  }
  build.layer("fc", {data.classes, width});
  return build.take();
}

ModelLayout lstm_layout(const ModelSpec& model, const DatasetIndex& data) {
  LayoutBuilder build;
  const std::int64_t hidden = *model.hidden_size;
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  build.normal("emb.weight", {data.classes, *model.embedding});
  std::int64_t inputs = *model.embedding;
  for (std::int64_t l = 0; l < *model.layers; ++l) {  // four gates
    build.uniform(fmt::format("rnn.weight_ih_l{}", l), {4 * hidden, std::exchange(inputs, hidden)}, bound);
    build.uniform(fmt::format("rnn.weight_hh_l{}", l), {4 * hidden, hidden}, bound);
    build.uniform(fmt::format("rnn.bias_ih_l{}", l), {4 * hidden}, bound);
    build.uniform(fmt::format("rnn.bias_hh_l{}", l), {4 * hidden}, bound);
  }
  build.layer("fc", {data.classes, hidden});
  return build.take();
}

/// Numbers that an optimizer keeps for each weight.
int state_numbers(const OptimizerSpec& optimizer) {
  if (optimizer.kind != OptimizerKind::kSgd) return 2;
  return optimizer.momentum > 0 ? 1 : 0;
}

}  // namespace

double TensorLayout::elements() const {
  double product = 1;
  for (const std::int64_t size : shape) product *= static_cast<double>(size);
  return product;
}

ModelLayout model_layout(const ModelSpec& spec, const DatasetIndex& data) {
  const ModelSpec model = with_default_sizes(spec);
  switch (model.kind) {
    case ModelKind::kMlp:
      return mlp_layout(model, data);
    case ModelKind::kCnn:
      return cnn_layout(model, data);
    case ModelKind::kResnet18:
      return resnet18_layout(model, data);
    case ModelKind::kLstm:
      return lstm_layout(model, data);
  }
  ensure_failed("a known kind", __FILE__, __LINE__, "a model without a layout");
}

std::int64_t element_bytes(Precision precision) {
  return precision == Precision::kFp64 ? 8 : 4;
}

double training_bytes(const ModelLayout& layout, const TrainSpec& train) {
  double trained = 0, buffers = 0;
  for (const TensorLayout& tensor : layout) (tensor.trained() ? trained : buffers) += tensor.elements();
  const double copies = 2 + state_numbers(train.optimizer);  // weights, gradients
  return (copies * trained + buffers) * static_cast<double>(element_bytes(train.precision));
}

}  // namespace regatta
