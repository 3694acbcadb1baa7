// Oracles: ATen's own linear layer in float64, finite differences, and the other library.

#include "jobs/linear.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>

#include "tests/jobs/waves.hpp"

namespace regatta {
namespace {

using test::waves;

constexpr std::int64_t kInputs = 37, kOutputs = 23;

LinearKernels kernels(bool forward, bool input_gradient, bool weight_gradient) {
  return {{kInputs, kOutputs, forward, input_gradient, weight_gradient}};
}
const LinearKernels kOneDnn = kernels(true, true, true);

ModelTensors tensors_of(at::ScalarType type) {
  ModelTensors tensors;
  tensors.parameters.emplace_back("1.weight", waves({kOutputs, kInputs}, 0).to(type).requires_grad_(true));
  tensors.parameters.emplace_back("1.bias", waves({kOutputs}, 1).to(type).requires_grad_(true));
  return tensors;
}

/// Output, then gradients of input, weight and bias of sum(y c) with c in waves.
std::vector<at::Tensor> step(const LinearLayer& layer, const ModelTensors& tensors, at::Tensor x) {
  x = x.detach().requires_grad_(true);
  for (const auto& [name, tensor] : tensors.parameters) tensor.mutable_grad().reset();
  const at::Tensor y = layer.forward(x);
  (y * waves(y.sizes(), 2).to(y.scalar_type())).sum().backward();
  return {y.detach(), x.grad(), tensors.at("1.weight").grad(), tensors.at("1.bias").grad()};
}

std::vector<at::Tensor> expected_step(std::int64_t rows, bool relu) {
  const at::Tensor x = waves({rows, kInputs}, 3).requires_grad_(true);
  const ModelTensors tensors = tensors_of(at::kDouble);
  at::Tensor y = at::linear(x, tensors.at("1.weight"), tensors.at("1.bias"));
  if (relu) y = at::relu(y);
  (y * waves(y.sizes(), 2)).sum().backward();
  return {y.detach(), x.grad(), tensors.at("1.weight").grad(), tensors.at("1.bias").grad()};
}

void expect_near(const std::vector<at::Tensor>& found, const std::vector<at::Tensor>& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const at::Tensor exact = found[i].to(at::kDouble);
    EXPECT_EQ(exact.sizes(), expected[i].sizes());
    EXPECT_LE((exact - expected[i]).norm().item<double>(), tolerance * expected[i].norm().item<double>())
        << "tensor " << i;
  }
}

TEST(Linear, EveryChoiceOfKernelsIsTheLayerRounded) {
  for (const bool relu : {false, true})
    for (const std::int64_t rows : {1, 29})
      for (int choice = 0; choice < 8; ++choice) {
        const ModelTensors tensors = tensors_of(at::kFloat);
        const LinearLayer layer(tensors, "1", kernels(choice & 1, choice & 2, choice & 4), relu);
        const auto found = step(layer, tensors, waves({rows, kInputs}, 3).to(at::kFloat));
        SCOPED_TRACE(testing::Message() << "choice " << choice << ", rows " << rows << ", relu " << relu);
        expect_near(found, expected_step(rows, relu), 5e-6);
      }
}

TEST(Linear, EachProductIsComputedByWhomItSays) {
  // Bits tell: at this depth the two libraries add in different orders.
  constexpr std::int64_t kDeep = 1000, kRows = 900;
  ModelTensors tensors;
  tensors.parameters.emplace_back("1.weight", waves({kDeep, kDeep}, 0).to(at::kFloat).requires_grad_(true));
  tensors.parameters.emplace_back("1.bias", waves({kDeep}, 1).to(at::kFloat).requires_grad_(true));
  const auto bits = [&](const LinearKernel& kernel) {
    return step(LinearLayer(tensors, "1", {kernel}), tensors, waves({kRows, kDeep}, 3).to(at::kFloat));
  };
  const auto aten = bits({kDeep, kDeep}), onednn = bits({kDeep, kDeep, true, true, true}),
             of_another_shape = bits({kDeep, kDeep + 1, true, true, true});
  for (std::size_t product = 0; product < 3; ++product) {
    if (at::equal(aten[product], onednn[product])) GTEST_SKIP() << "both libraries add alike here: product " << product;
    EXPECT_TRUE(at::equal(of_another_shape[product], aten[product]));
    LinearKernel one{kDeep, kDeep};
    (product == 0 ? one.forward : product == 1 ? one.input_gradient : one.weight_gradient) = true;
    const auto mixed = bits(one);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_TRUE(at::equal(mixed[i], i == product ? onednn[i] : aten[i])) << product << ' ' << i;
  }
}

TEST(Linear, GradientsInDoubleAreDerivatives) {
  const ModelTensors tensors = tensors_of(at::kDouble);
  for (const bool relu : {false, true}) {
    const LinearLayer layer(tensors, "1", {}, relu);
    const at::Tensor x = waves({4, kInputs}, 3), c = waves({4, kOutputs}, 2);
    const auto found = step(layer, tensors, x);
    const auto value = [&] {
      const c10::NoGradGuard no_grad;
      return (layer.forward(x) * c).sum().item<double>();
    };
    const std::vector<at::Tensor> varied{x, tensors.at("1.weight").detach(), tensors.at("1.bias").detach()};
    for (std::size_t i = 0; i < varied.size(); ++i) {
      double* const number = varied[i].mutable_data_ptr<double>();
      for (const std::int64_t e : {std::int64_t{0}, varied[i].numel() / 2, varied[i].numel() - 1}) {
        const double before = number[e], h = 1e-6;
        number[e] = before + h;
        const double above = value();
        number[e] = before - h;
        const double below = value();
        number[e] = before;
        EXPECT_NEAR(found[i + 1].view(-1)[e].item<double>(), (above - below) / (2 * h), 1e-7);
      }
    }
  }
}

TEST(Linear, TheOrderOfGradientsDoesNotChangeThem) {
  for (const bool relu : {false, true})
    for (const LinearKernels& chosen : {LinearKernels{}, kOneDnn})
      for (const bool autocast : {false, true}) {
        const ModelTensors tensors = tensors_of(at::kFloat);
        const LinearLayer layer(tensors, "1", chosen, relu);
        const auto gradients = [&](GradientOrder order) {
          const at::Tensor leaf = waves({29, kInputs}, 3).to(at::kFloat).requires_grad_(true);
          for (const auto& [name, tensor] : tensors.parameters) tensor.mutable_grad().reset();
          at::autocast::set_autocast_enabled(at::kCPU, autocast);
          const at::Tensor y = layer.forward(leaf * 2, order);
          at::autocast::set_autocast_enabled(at::kCPU, false);
          at::autocast::clear_cache();
          (y * waves(y.sizes(), 2).to(y.scalar_type())).sum().backward();
          return std::vector{leaf.grad(), tensors.at("1.weight").grad(), tensors.at("1.bias").grad()};
        };
        const auto inputs = gradients(GradientOrder::kInputs), weights = gradients(GradientOrder::kWeights);
        for (std::size_t i = 0; i < inputs.size(); ++i) EXPECT_TRUE(at::equal(inputs[i], weights[i])) << i;
      }
}

TEST(Linear, ReadsWeightsAfterTheirGradientOnlyInTheOrderThatSaysSo) {
  for (const GradientOrder order : {GradientOrder::kInputs, GradientOrder::kWeights}) {
    const ModelTensors tensors = tensors_of(at::kFloat);
    const LinearLayer layer(tensors, "1", kOneDnn);
    const at::Tensor& weight = tensors.at("1.weight");
    weight.register_hook([&](const at::Tensor&) { weight.data().zero_(); });
    const at::Tensor x = waves({29, kInputs}, 3).to(at::kFloat).requires_grad_(true);
    layer.forward(x, order).sum().backward();
    EXPECT_EQ(x.grad().abs().max().item<double>() > 0, order == GradientOrder::kInputs);
  }
}

TEST(Linear, TakesNoRows) {
  for (const LinearKernels& chosen : {LinearKernels{}, kOneDnn}) {
    const ModelTensors tensors = tensors_of(at::kFloat);
    const auto found = step(LinearLayer(tensors, "1", chosen, true), tensors, at::empty({0, kInputs}));
    EXPECT_EQ(found[0].sizes(), at::IntArrayRef({0, kOutputs}));
    EXPECT_EQ(found[1].sizes(), at::IntArrayRef({0, kInputs}));
    EXPECT_TRUE(at::equal(found[2], at::zeros({kOutputs, kInputs})));
    EXPECT_TRUE(at::equal(found[3], at::zeros({kOutputs})));
  }
}

TEST(Linear, GradientsAddUpAndLieAsTheParameters) {
  for (const LinearKernels& chosen : {LinearKernels{}, kOneDnn}) {
    const ModelTensors tensors = tensors_of(at::kFloat);
    const LinearLayer layer(tensors, "1", chosen, true);
    const at::Tensor x = waves({29, kInputs}, 3).to(at::kFloat);
    const auto once = step(layer, tensors, x);
    for (const std::size_t i : {2, 3}) EXPECT_TRUE(once[i].is_contiguous());
    const at::Tensor weight = once[2] * 2, bias = once[3] * 2, y = layer.forward(x);
    (y * waves(y.sizes(), 2).to(at::kFloat)).sum().backward();  // onto the first
    EXPECT_TRUE(at::equal(tensors.at("1.weight").grad(), weight));
    EXPECT_TRUE(at::equal(tensors.at("1.bias").grad(), bias));
  }
}

TEST(Linear, WeightsMayBeViewsOfForeignMemory) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const ModelTensors tensors = tensors_of(type);
    std::vector<at::Tensor> windows;
    const LinearLayer layer(tensors, "1", kOneDnn, true);
    const at::Tensor x = waves({29, kInputs}, 3).to(type);
    const auto own = step(layer, tensors, x);
    for (const auto& [name, tensor] : tensors.parameters) {
      windows.push_back(at::zeros({tensor.numel() + 1}, tensor.options().requires_grad(false)));
      const at::Tensor window = windows.back();
      auto* const bytes = static_cast<char*>(window.mutable_data_ptr()) + window.element_size();
      const at::Tensor view = at::from_blob(bytes, tensor.sizes(), tensor.strides(), at::TensorOptions(type));
      view.copy_(tensor.detach());
      at::Tensor handle = tensor;
      handle.set_data(view);
    }
    const auto shared = step(layer, tensors, x);
    for (std::size_t i = 0; i < own.size(); ++i) EXPECT_TRUE(at::allclose(shared[i], own[i], 1e-5, 1e-5)) << i;
    windows[0].zero_();
    windows[1].zero_();
    const c10::InferenceMode inference;
    EXPECT_EQ(layer.forward(x).abs().max().item<double>(), 0) << "what is written there is what the layer has";
  }
}

TEST(Linear, BfloatWeightsGiveBfloatGradients) {
  for (const LinearKernels& chosen : {LinearKernels{}, kOneDnn}) {
    const ModelTensors tensors = tensors_of(at::kBFloat16);
    const auto found =
        step(LinearLayer(tensors, "1", chosen, true), tensors, waves({29, kInputs}, 3).to(at::kBFloat16));
    for (const at::Tensor& tensor : found) EXPECT_EQ(tensor.scalar_type(), at::kBFloat16);
    expect_near(found, expected_step(29, true), 2e-2);
  }
}

TEST(Linear, MeasuresTheShapesOfTheModel) {
  at::set_num_threads(1);
  DatasetIndex pixels, characters;
  pixels.sample_shape = {1, 8, 8};
  pixels.classes = 10;
  characters.sample_shape = {9};
  characters.classes = 7;
  const auto shapes = [](const LinearKernels& found) {
    std::vector<std::pair<std::int64_t, std::int64_t>> list;
    for (const LinearKernel& kernel : found) list.emplace_back(kernel.inputs, kernel.outputs);
    return list;
  };
  using testing::ElementsAre;
  using testing::Pair;
  const ModelSpec mlp{.kind = ModelKind::kMlp, .hidden = {16, 16, 16}};
  const LinearKernels found = measure_linear_kernels(mlp, pixels, 8, Precision::kFp32);
  EXPECT_THAT(shapes(found), ElementsAre(Pair(64, 16), Pair(16, 16), Pair(16, 10)));
  const auto nothing = linear_shapes(mlp, pixels);
  for (const auto precision : {Precision::kFp64, Precision::kBf16})
    EXPECT_EQ(measure_linear_kernels(mlp, pixels, 8, precision), nothing);
  EXPECT_THAT(shapes(measure_linear_kernels({.kind = ModelKind::kCnn}, pixels, 0, Precision::kFp32)),
              ElementsAre(Pair(64, 10)));
  const ModelSpec lstm{.kind = ModelKind::kLstm, .embedding = 5, .hidden_size = 6, .layers = 2};
  EXPECT_THAT(shapes(measure_linear_kernels(lstm, characters, 8, Precision::kFp32)), ElementsAre(Pair(6, 7)));
}

}  // namespace
}  // namespace regatta
