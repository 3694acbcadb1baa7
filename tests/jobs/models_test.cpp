// Oracles: the yardstick's parameter counts and names, a naive implementation of the layers, finite differences.

#include "jobs/models.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <torch/library.h>

#include <array>
#include <cmath>
#include <optional>
#include <tuple>

#include "tests/jobs/waves.hpp"

namespace regatta {
namespace {

using test::waves;
using testing::ElementsAre;
using testing::HasSubstr;

const ModelSpec kSmallResnet{.kind = ModelKind::kResnet18, .channels = {3, 4, 5, 6}};

DatasetIndex images(std::vector<std::int64_t> shape, std::int64_t classes = 10) {
  DatasetIndex data;
  data.sample_shape = std::move(shape);
  data.classes = classes;
  return data;
}

DatasetIndex text(std::int64_t length, std::int64_t vocabulary) {
  return images({length}, vocabulary);
}

std::vector<std::string> names(const Model& model) {
  std::vector<std::string> all;
  for (const auto& [name, tensor] : model.parameters()) all.push_back(name);
  return all;
}

std::int64_t count(const Model& model) {
  std::int64_t elements = 0;
  for (const auto& [name, tensor] : model.parameters()) elements += tensor.numel();
  return elements;
}

TEST(Models, CnnIsTheYardsticks) {
  const auto model = make_model({.kind = ModelKind::kCnn}, images({1, 28, 28}), Precision::kFp32, 1);
  EXPECT_EQ(count(*model), 11'274);
  EXPECT_THAT(names(*model), ElementsAre("0.weight", "0.bias", "3.weight", "3.bias", "7.weight", "7.bias"));
  EXPECT_EQ(model->parameters()[0].second.sizes(), at::IntArrayRef({8, 1, 5, 5}));
  EXPECT_EQ(model->parameters()[4].second.sizes(), at::IntArrayRef({10, 784}));
}

TEST(Models, MlpIsTheYardsticks) {
  const auto model = make_model({.kind = ModelKind::kMlp}, images({1, 28, 28}), Precision::kFp32, 1);
  EXPECT_EQ(count(*model), 784 * 1024 + 1024 + 2 * (1024 * 1024 + 1024) + 1024 * 10 + 10);
  EXPECT_THAT(names(*model),
              ElementsAre("1.weight", "1.bias", "3.weight", "3.bias", "5.weight", "5.bias", "7.weight", "7.bias"));
}

TEST(Models, Resnet18IsTheYardsticks) {
  const auto model = make_model({.kind = ModelKind::kResnet18}, images({3, 32, 32}), Precision::kFp32, 1);
  EXPECT_EQ(count(*model), 11'173'962);
  EXPECT_EQ(model->parameters().size(), 62);
  EXPECT_EQ(model->buffers().size(), 3 * 20);
  EXPECT_THAT(names(*model), testing::IsSupersetOf({"stem.0.weight", "stem.1.bias", "body.0.c1.weight",
                                                    "body.2.sc.0.weight", "body.7.b2.weight", "fc.bias"}));
  EXPECT_EQ(model->buffers()[2].first, "stem.1.num_batches_tracked");
  EXPECT_EQ(model->buffers()[2].second.scalar_type(), at::kLong);
}

TEST(Models, LstmIsTheYardsticks) {
  const auto model = make_model({.kind = ModelKind::kLstm}, text(64, 65), Precision::kFp32, 1);
  EXPECT_EQ(count(*model), 3'457'729);
  EXPECT_THAT(names(*model), ElementsAre("emb.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0",
                                         "rnn.bias_hh_l0", "rnn.weight_ih_l1", "rnn.weight_hh_l1", "rnn.bias_ih_l1",
                                         "rnn.bias_hh_l1", "fc.weight", "fc.bias"));
  EXPECT_EQ(model->forward(at::zeros({2, 64}, at::kLong)).sizes(), at::IntArrayRef({2 * 64, 65}));
}

TEST(Models, SizesFollowTheSpecAndTheData) {
  const auto mlp = make_model({.kind = ModelKind::kMlp, .hidden = {5}}, images({3, 2, 2}, 4), Precision::kFp32, 1);
  EXPECT_EQ(count(*mlp), 12 * 5 + 5 + 5 * 4 + 4);
  const auto cnn = make_model({.kind = ModelKind::kCnn, .channels = {2, 3}}, images({3, 8, 4}, 7), Precision::kFp32, 1);
  EXPECT_EQ(count(*cnn), 3 * 2 * 25 + 2 + 2 * 3 * 25 + 3 + 3 * 2 * 1 * 7 + 7);
  EXPECT_EQ(cnn->forward(at::zeros({5, 3, 8, 4})).sizes(), at::IntArrayRef({5, 7}));
  // Pools round down: 11 x 6 becomes 5 x 3, then 2 x 1.
  for (const auto precision : {Precision::kFp32, Precision::kFp64}) {
    const auto odd = make_model({.kind = ModelKind::kCnn, .channels = {2, 3}}, images({1, 11, 6}, 7), precision, 1);
    EXPECT_EQ(odd->parameters()[4].second.sizes(), at::IntArrayRef({7, 3 * 2 * 1}));
    const at::Tensor inputs = at::zeros({5, 1, 11, 6}, odd->parameters()[0].second.scalar_type());
    EXPECT_EQ(odd->forward(inputs).sizes(), at::IntArrayRef({5, 7}));
  }
}

TEST(Models, WeightsComeFromTheSeedAlone) {
  const DatasetIndex data = images({1, 28, 28});
  const auto single = make_model({.kind = ModelKind::kCnn}, data, Precision::kFp32, 7);
  const auto exact = make_model({.kind = ModelKind::kCnn}, data, Precision::kFp64, 7);
  const auto other = make_model({.kind = ModelKind::kCnn}, data, Precision::kFp32, 8);
  for (std::size_t i = 0; i < single->parameters().size(); ++i) {
    const at::Tensor& weights = exact->parameters()[i].second;
    EXPECT_TRUE(at::equal(single->parameters()[i].second, weights.to(at::kFloat)));
    EXPECT_FALSE(at::equal(single->parameters()[i].second, other->parameters()[i].second));
  }
}

TEST(Models, InitialisationIsUniformAsInTorch) {
  const auto model = make_model({.kind = ModelKind::kMlp}, images({1, 28, 28}), Precision::kFp64, 1);
  const at::Tensor weights = model->parameters()[0].second.detach();  // fan_in 784, 802,816 numbers
  const double bound = 1.0 / 28;
  EXPECT_LT(weights.abs().max().item<double>(), bound);
  EXPECT_GT(weights.abs().max().item<double>(), 0.9999 * bound);
  const double n = static_cast<double>(weights.numel());
  EXPECT_LT(std::abs(weights.mean().item<double>()), 5 * bound / std::sqrt(3 * n));  // 5 standard errors
  EXPECT_NEAR(weights.square().mean().item<double>() / (bound * bound / 3), 1, 5 / std::sqrt(n));
  // Neighbours are independent: their mean product has standard error bound^2 / 3 / sqrt(n).
  const at::Tensor flat = weights.flatten();
  const double product =
      (flat.narrow(0, 0, flat.numel() - 1) * flat.narrow(0, 1, flat.numel() - 1)).mean().item<double>();
  EXPECT_LT(std::abs(product), 5 * bound * bound / 3 / std::sqrt(n));
}

TEST(Models, EmbeddingsBeginNormal) {
  const auto model = make_model({.kind = ModelKind::kLstm}, text(4, 2000), Precision::kFp64, 1);
  const at::Tensor weights = model->parameters()[0].second.detach().flatten();  // 256,000 numbers
  const double n = static_cast<double>(weights.numel());
  EXPECT_LT(std::abs(weights.mean().item<double>()), 5 / std::sqrt(n));  // 5 standard errors, as below
  EXPECT_NEAR(weights.square().mean().item<double>(), 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(weights.pow(4).mean().item<double>(), 3, 5 * std::sqrt(96 / n));
  EXPECT_NEAR(weights.lt(-1).to(at::kDouble).mean().item<double>(), 0.158655, 5 * 0.3654 / std::sqrt(n));
  const at::Tensor next = weights.narrow(0, 1, weights.numel() - 1);
  EXPECT_LT(std::abs((weights.narrow(0, 0, next.numel()) * next).mean().item<double>()), 5 / std::sqrt(n));
}

TEST(Models, BatchNormBeginsAsInTorch) {
  const auto model = make_model(kSmallResnet, images({3, 8, 8}), Precision::kFp32, 1);
  EXPECT_TRUE(model->parameters()[1].second.eq(1).all().item<bool>()) << "stem.1.weight";
  EXPECT_TRUE(model->parameters()[2].second.eq(0).all().item<bool>()) << "stem.1.bias";
  EXPECT_TRUE(model->buffers()[0].second.eq(0).all().item<bool>()) << "stem.1.running_mean";
  EXPECT_TRUE(model->buffers()[1].second.eq(1).all().item<bool>()) << "stem.1.running_var";
}

/// The derivative of the loss by each parameter, against central differences in fp64.
void expect_true_gradients(Model& model, const at::Tensor& inputs, const at::Tensor& targets) {
  loss_sum(model.forward(inputs), targets).backward();
  const c10::NoGradGuard no_grad;
  for (const auto& [name, parameter] : model.parameters()) {
    at::Tensor flat = parameter.detach().view(-1);  // shares storage
    const at::Tensor gradient = parameter.grad().view(-1);
    for (std::int64_t e = 0; e < flat.numel(); e += 1 + flat.numel() / 7) {
      const double before = flat[e].item<double>();
      const double step = 1e-6;
      flat[e].fill_(before + step);
      const double above = loss_sum(model.forward(inputs), targets).item<double>();
      flat[e].fill_(before - step);
      const double below = loss_sum(model.forward(inputs), targets).item<double>();
      flat[e].fill_(before);
      EXPECT_NEAR(gradient[e].item<double>(), (above - below) / (2 * step), 1e-6) << name << "[" << e << "]";
    }
  }
}

TEST(Models, CnnGradientsAreDerivatives) {
  const auto model = make_model({.kind = ModelKind::kCnn}, images({1, 8, 8}), Precision::kFp64, 3);
  expect_true_gradients(*model, waves({3, 1, 8, 8}), at::tensor({1, 0, 9}, at::kLong));
}

TEST(Models, MlpGradientsAreDerivatives) {
  const auto model = make_model({.kind = ModelKind::kMlp, .hidden = {6, 5}}, images({1, 4, 4}), Precision::kFp64, 3);
  expect_true_gradients(*model, waves({3, 1, 4, 4}), at::tensor({1, 0, 9}, at::kLong));
}

TEST(Models, CnnComputesWhatItsLayersSay) {
  const auto model = make_model({.kind = ModelKind::kCnn}, images({1, 8, 8}), Precision::kFp64, 3);
  const at::Tensor inputs = waves({2, 1, 8, 8});
  std::vector<at::Tensor> p;
  for (const auto& [name, tensor] : model->parameters()) p.push_back(tensor.detach());
  // nn.Sequential(Conv2d(1, 8, 5, padding=2), ReLU, MaxPool2d(2), Conv2d(8, 16, 5, padding=2), ReLU, MaxPool2d(2),
  // Flatten, Linear), with the convolution as a matrix product over unfolded patches.
  const auto convolve = [](const at::Tensor& x, const at::Tensor& w, const at::Tensor& b) {
    const at::Tensor patches = at::im2col(x, {5, 5}, {1, 1}, {2, 2}, {1, 1});  // (B, C*25, H*W)
    const at::Tensor y = at::matmul(w.flatten(1), patches) + b.view({1, -1, 1});
    return y.view({x.size(0), w.size(0), x.size(2), x.size(3)});
  };
  const auto pool = [](const at::Tensor& x) {
    return x.view({x.size(0), x.size(1), x.size(2) / 2, 2, x.size(3) / 2, 2}).amax({3, 5});
  };
  at::Tensor x = pool(at::clamp_min(convolve(inputs, p[0], p[1]), 0));
  x = pool(at::clamp_min(convolve(x, p[2], p[3]), 0));
  const at::Tensor expected = at::matmul(x.flatten(1), p[4].t()) + p[5];
  EXPECT_TRUE(at::allclose(model->forward(inputs), expected, 1e-12, 1e-12));
}

TEST(Models, CnnInFloatIsTheOneInDoubleRounded) {
  for (const std::int64_t channels : {1, 3}) {
    const DatasetIndex data = images({channels, 12, 8});
    const auto exact = make_model({.kind = ModelKind::kCnn}, data, Precision::kFp64, 5);
    const auto single = make_model({.kind = ModelKind::kCnn}, data, Precision::kFp32, 5);
    const at::Tensor inputs = waves({4, channels, 12, 8}), targets = at::tensor({1, 0, 9, 3}, at::kLong);
    loss_sum(exact->forward(inputs), targets).backward();
    loss_sum(single->forward(inputs.to(at::kFloat)), targets).backward();
    for (std::size_t i = 0; i < exact->parameters().size(); ++i) {
      const at::Tensor expected = exact->parameters()[i].second.grad(), found = single->parameters()[i].second.grad();
      EXPECT_LE((found.to(at::kDouble) - expected).norm().item<double>(), 1e-5 * expected.norm().item<double>())
          << exact->parameters()[i].first << ", " << channels << " channels";
    }
  }
}

TEST(Models, LossIsTheSumOverSamples) {
  const at::Tensor logits = waves({4, 3});
  const at::Tensor targets = at::tensor({0, 2, 1, 1}, at::kLong);
  double expected = 0;
  for (int b = 0; b < 4; ++b) {
    double partition = 0;
    for (int c = 0; c < 3; ++c) partition += std::exp(logits[b][c].item<double>());
    expected += std::log(partition) - logits[b][targets[b].item<std::int64_t>()].item<double>();
  }
  EXPECT_NEAR(loss_sum(logits, targets).item<double>(), expected, 1e-12);
}

TEST(Models, RefusesWhatDoesNotFit) {
  const auto message = [](const ModelSpec& spec, const DatasetIndex& data, Precision precision) -> std::string {
    try {
      make_model(spec, data, precision, 1);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message({.kind = ModelKind::kCnn}, images({1, 3, 28}), Precision::kFp32), HasSubstr("at least 4"));
  EXPECT_THAT(message({.kind = ModelKind::kCnn, .channels = {8}}, images({1, 28, 28}), Precision::kFp32),
              HasSubstr("found 1)"));
  EXPECT_THAT(message({.kind = ModelKind::kLstm}, images({1, 28, 28}), Precision::kFp32), HasSubstr("expected text"));
}

TEST(Models, Resnet18GradientsAreDerivatives) {
  const auto model = make_model(kSmallResnet, images({2, 9, 8}), Precision::kFp64, 3);
  expect_true_gradients(*model, waves({3, 2, 9, 8}), at::tensor({1, 0, 9}, at::kLong));
}

TEST(Models, LstmGradientsAreDerivatives) {
  const ModelSpec spec{.kind = ModelKind::kLstm, .embedding = 3, .hidden_size = 4, .layers = 2};
  const auto model = make_model(spec, text(5, 6), Precision::kFp64, 3);
  const at::Tensor inputs = at::tensor({1, 2, 3, 4, 5, 0, 1, 0, 1, 0}, at::kLong).view({2, 5});
  expect_true_gradients(*model, inputs, inputs.flip(1));
}

TEST(Models, LossOfATextIsTheMeanOverItsCharacters) {
  const at::Tensor logits = waves({2 * 5, 3}), targets = at::tensor({0, 2, 1, 1, 0, 2, 2, 0, 1, 1}, at::kLong);
  const double expected = at::cross_entropy_loss(logits, targets).item<double>() * 2;  // torch's mean times samples
  EXPECT_NEAR(loss_sum(logits, targets.view({2, 5})).item<double>(), expected, 1e-12);
}

TEST(Models, EvaluationTakesRunningStatisticsAndLeavesThemAlone) {
  const auto model = make_model(kSmallResnet, images({2, 9, 8}), Precision::kFp64, 3);
  const at::Tensor inputs = waves({4, 2, 9, 8});
  model->forward(inputs);
  std::vector<at::Tensor> before;
  for (const auto& [name, buffer] : model->buffers()) before.push_back(buffer.clone());
  EXPECT_EQ(before[2].item<std::int64_t>(), 1);
  model->set_training(false);
  const at::Tensor whole = model->forward(inputs);
  const at::Tensor alone = model->forward(inputs.narrow(0, 1, 1));
  EXPECT_TRUE(at::allclose(whole.narrow(0, 1, 1), alone, 1e-12, 1e-12)) << "a sample does not see its neighbours";
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(model->buffers()[i].second, before[i]));
}

TEST(Models, OneValueAChannelDoesNotSpoilRunningStatistics) {
  for (const auto precision : {Precision::kFp32, Precision::kFp64}) {
    const auto model = make_model(kSmallResnet, images({2, 8, 8}), precision, 3);  // 1 x 1 in the last stage
    const at::Tensor inputs = waves({1, 2, 8, 8}).to(model->parameters()[0].second.scalar_type());
    loss_sum(model->forward(inputs), at::tensor({1}, at::kLong)).backward();
    for (const NamedTensors* list : {&model->parameters(), &model->buffers()})
      for (const auto& [name, tensor] : *list) EXPECT_TRUE(at::isfinite(tensor).all().item<bool>()) << name;
  }
}

TEST(Models, RunningStatisticsAreAveragedBySamples) {
  const auto model = make_model(kSmallResnet, images({2, 8, 8}), Precision::kFp64, 3);
  model->forward(waves({4, 2, 8, 8}));
  std::vector<at::Tensor> own;
  for (const auto& [name, buffer] : model->buffers()) own.push_back(buffer.clone());
  // Another rank with 12 samples, whose numbers are this one's and 1 each.
  average_running_statistics(*model, 4, [](std::span<double> sums) {
    for (std::size_t i = 0; i + 1 < sums.size(); ++i) sums[i] += 12 * (sums[i] / 4 + 1);
    sums.back() += 12;
  });
  for (std::size_t i = 0; i < own.size(); ++i) {
    const at::Tensor& found = model->buffers()[i].second;
    if (own[i].scalar_type() == at::kLong)
      EXPECT_EQ(found.item<std::int64_t>(), 2) << "1.75, rounded";
    else
      EXPECT_TRUE(at::allclose(found, own[i] + 0.75, 1e-12, 1e-12)) << model->buffers()[i].first;
  }
}

class ReducedPrecision : public testing::TestWithParam<std::pair<Precision, at::ScalarType>> {};

TEST_P(ReducedPrecision, ComputesInItAndKeepsFloatWeights) {
  const auto [precision, type] = GetParam();
  struct Tested {
    ModelSpec spec;
    DatasetIndex data;
    at::Tensor inputs, targets;
  };
  const at::Tensor characters = at::tensor({1, 2, 3, 4, 5, 0, 1, 0, 1, 0}, at::kLong).view({2, 5});
  const at::Tensor labels = at::tensor({1, 0, 9}, at::kLong), pixels = waves({3, 2, 9, 8}).to(at::kFloat);
  for (const Tested& tested : {Tested{{.kind = ModelKind::kMlp, .hidden = {16}}, images({2, 9, 8}), pixels, labels},
                               Tested{{.kind = ModelKind::kCnn}, images({2, 9, 8}), pixels, labels},
                               Tested{kSmallResnet, images({2, 9, 8}), pixels, labels},
                               Tested{{.kind = ModelKind::kLstm}, text(5, 6), characters, characters}}) {
    if (type == at::kHalf && tested.spec.kind == ModelKind::kLstm) continue;  // which oneDNN has not got
    const auto half = make_model(tested.spec, tested.data, precision, 3);
    const auto single = make_model(tested.spec, tested.data, Precision::kFp32, 3);
    const at::Tensor logits = half->forward(tested.inputs);
    EXPECT_EQ(logits.scalar_type(), type) << to_text(tested.spec.kind);
    const at::Tensor loss = loss_sum(logits, tested.targets);
    EXPECT_EQ(loss.scalar_type(), at::kFloat);
    const double expected = loss_sum(single->forward(tested.inputs), tested.targets).item<double>();
    EXPECT_NEAR(loss.item<double>(), expected, 5e-2 * expected);
    loss.backward();
    for (const auto& [name, parameter] : half->parameters()) {
      EXPECT_EQ(parameter.scalar_type(), at::kFloat) << name;
      EXPECT_EQ(parameter.grad().scalar_type(), at::kFloat) << name;
    }
    // Autocast ends with the call, and its cast weights with it: the next call sees what an optimizer wrote.
    EXPECT_EQ(at::linear(at::ones({1, 2}), at::ones({1, 2})).scalar_type(), at::kFloat);
    const c10::NoGradGuard no_grad;
    for (const auto& [name, parameter] : half->parameters()) parameter.detach().zero_();
    EXPECT_EQ(half->forward(tested.inputs).abs().max().item<double>(), 0) << to_text(tested.spec.kind);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, ReducedPrecision,
                         testing::Values(std::pair{Precision::kBf16, at::kBFloat16},
                                         std::pair{Precision::kFp16, at::kHalf}),
                         [](const auto& tested) { return std::string(to_text(tested.param.first)); });

/// One of each kind, with what it takes.
struct AnyModel {
  ModelSpec spec;
  DatasetIndex data;
  at::Tensor inputs, targets;

  at::Tensor inputs_in(Precision precision) const {
    return inputs.is_floating_point() && precision != Precision::kFp64 ? inputs.to(at::kFloat) : inputs;
  }
};

std::vector<AnyModel> one_of_each_kind() {
  const at::Tensor characters = at::tensor({1, 2, 3, 4, 5, 0, 1, 0, 1, 0}, at::kLong).view({2, 5});
  const at::Tensor labels = at::tensor({1, 0, 9}, at::kLong), pixels = waves({3, 2, 9, 8});
  return {{{.kind = ModelKind::kMlp, .hidden = {16}}, images({2, 9, 8}), pixels, labels},
          {{.kind = ModelKind::kCnn}, images({2, 9, 8}), pixels, labels},
          {kSmallResnet, images({2, 9, 8}), pixels, labels},
          {{.kind = ModelKind::kLstm}, text(5, 6), characters, characters}};
}

// Shapes of convolutions, batch norm and embeddings, which torch has for meta tensors in Python alone.
at::Tensor convolution_shape(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& /*bias*/,
                             c10::SymIntArrayRef stride, c10::SymIntArrayRef padding, c10::SymIntArrayRef /*dilation*/,
                             bool /*transposed*/, c10::SymIntArrayRef /*output_padding*/, c10::SymInt /*groups*/) {
  const auto size = [&](std::int64_t d) {
    const auto i = static_cast<std::size_t>(d - 2);
    return (x.size(d) + 2 * padding[i].expect_int() - weight.size(d)) / stride[i].expect_int() + 1;
  };
  return at::empty({x.size(0), weight.size(0), size(2), size(3)}, x.options());
}
std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_gradient_shapes(
    const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, c10::SymIntArrayRef /*stride*/,
    c10::SymIntArrayRef /*padding*/, c10::SymIntArrayRef /*dilation*/, bool /*transposed*/,
    c10::SymIntArrayRef /*output_padding*/, c10::SymInt /*groups*/, std::array<bool, 3> /*output_mask*/) {
  return {at::empty_like(x), at::empty_like(weight), at::empty({dy.size(1)}, dy.options())};
}
using MaybeTensor = std::optional<at::Tensor>;
std::tuple<at::Tensor, at::Tensor, at::Tensor> batch_norm_shapes(const at::Tensor& x, const MaybeTensor& weight,
                                                                 const MaybeTensor& /*bias*/,
                                                                 const MaybeTensor& /*running_mean*/,
                                                                 const MaybeTensor& /*running_var*/, bool /*training*/,
                                                                 double /*momentum*/, double /*eps*/) {
  return {at::empty_like(x), at::empty_like(*weight), at::empty_like(*weight)};
}
std::tuple<at::Tensor, at::Tensor, at::Tensor> batch_norm_gradient_shapes(
    const at::Tensor& /*dy*/, const at::Tensor& x, const MaybeTensor& weight, const MaybeTensor& /*running_mean*/,
    const MaybeTensor& /*running_var*/, const MaybeTensor& /*mean*/, const MaybeTensor& /*invstd*/, bool /*train*/,
    double /*eps*/, std::array<bool, 3> /*output_mask*/) {
  return {at::empty_like(x), at::empty_like(*weight), at::empty_like(*weight)};
}

at::Tensor selected_shape(const at::Tensor& rows, std::int64_t /*dim*/, const at::Tensor& index) {
  return at::empty({index.size(0), rows.size(1)}, rows.options());
}
at::Tensor embedding_gradient_shape(const at::Tensor& dy, const at::Tensor& /*index*/, c10::SymInt rows,
                                    c10::SymInt /*padding*/, bool /*scale*/) {
  return at::empty({rows.expect_int(), dy.size(-1)}, dy.options());
}

TORCH_LIBRARY_IMPL(aten, Meta, library) {
  library.impl("index_select", &selected_shape);
  library.impl("embedding_dense_backward", &embedding_gradient_shape);
  library.impl("native_batch_norm", &batch_norm_shapes);
  library.impl("native_batch_norm_backward", &batch_norm_gradient_shapes);
  library.impl("convolution_overrideable", &convolution_shape);
  library.impl("convolution_backward_overrideable", &convolution_gradient_shapes);
}

// A meta tensor has a shape and no numbers: whoever reads one on the host, as a device would make him wait for, throws.
TEST(ModelsOnADevice, ReadNoNumberOnTheHost) {
  for (const AnyModel& any : one_of_each_kind())
    for (const Precision precision : {Precision::kFp32, Precision::kFp64}) {
      SCOPED_TRACE(to_text(any.spec.kind));
      const auto model =
          make_model(any.spec, any.data, precision, 3, {.convolutions = false, .lstm = false}, at::kMeta);
      loss_sum(model->forward(any.inputs_in(precision).to(at::kMeta)), any.targets.to(at::kMeta)).backward();
      for (const auto& [name, parameter] : model->parameters()) {
        EXPECT_TRUE(parameter.grad().is_meta()) << name;
        EXPECT_TRUE(parameter.is_leaf()) << name;
        EXPECT_EQ(parameter.grad().sizes(), parameter.sizes()) << name;
        const bool images = parameter.dim() == 4 && precision == Precision::kFp32;
        EXPECT_TRUE(!images || parameter.is_contiguous(at::MemoryFormat::ChannelsLast)) << name;
      }
    }
}

}  // namespace
}  // namespace regatta
