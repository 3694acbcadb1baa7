// Oracle: at::lstm in float64, of numbers that are rounded before.

#include "jobs/lstm_layer.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "jobs/models.hpp"
#include "tests/jobs/waves.hpp"

namespace regatta {
namespace {

using test::waves;

struct LayerSizes {
  std::int64_t batch, length, inputs, hidden;
};

/// x, input and hidden weights, both biases: leaves.
std::vector<at::Tensor> layer_leaves(const LayerSizes& s) {
  std::vector<at::Tensor> leaves;
  double phase = 0;
  for (const std::vector<std::int64_t>& shape : std::vector<std::vector<std::int64_t>>{{s.batch, s.length, s.inputs},
                                                                                       {4 * s.hidden, s.inputs},
                                                                                       {4 * s.hidden, s.hidden},
                                                                                       {4 * s.hidden},
                                                                                       {4 * s.hidden}})
    leaves.push_back((waves(shape, ++phase) * (leaves.empty() ? 1 : 0.2)).to(at::kBFloat16));
  return leaves;
}

/// y, then the leaves' gradients of sum(y c), c in waves.
template <class Layer>
std::vector<at::Tensor> layer_step(std::vector<at::Tensor> leaves, at::ScalarType type, const Layer& layer) {
  for (at::Tensor& leaf : leaves) leaf = leaf.to(type).requires_grad_(true);
  const at::Tensor y = layer(leaves);
  (y * waves(y.sizes(), 9).to(at::kBFloat16).to(type)).sum().backward();
  std::vector<at::Tensor> found{y.detach()};
  for (const at::Tensor& leaf : leaves) found.push_back(leaf.grad());
  return found;
}

std::vector<at::Tensor> own_step(const LayerSizes& s) {
  return layer_step(layer_leaves(s), at::kBFloat16, [](const std::vector<at::Tensor>& l) {
    return lstm_layer(l[0], {l[1], l[2], l[3], l[4]});
  });
}

bool fits(const LayerSizes& s) {
  const auto l = layer_leaves(s);
  return lstm_layer_fits(l[0], {l[1], l[2], l[3], l[4]});
}

/// Rows for every way in which they are taken together: 12, 16, 4 and single ones.
const std::vector<LayerSizes> kLayers{{1, 1, 2, 32}, {3, 7, 6, 32}, {16, 5, 64, 96}, {12, 4, 10, 64}, {29, 3, 34, 32}};

TEST(LstmLayer, IsATensRounded) {
  for (const LayerSizes& s : kLayers) {
    if (!fits(s)) GTEST_SKIP() << "this processor has no AVX-512 for bfloat16";
    const auto found = own_step(s);
    const auto exact = layer_step(layer_leaves(s), at::kDouble, [&](const std::vector<at::Tensor>& l) {
      const at::Tensor zero = at::zeros({1, s.batch, s.hidden}, at::kDouble);
      return std::get<0>(at::lstm(l[0], {zero, zero}, {l[1], l[2], l[3], l[4]}, true, 1, 0, true, false, true));
    });
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].scalar_type(), at::kBFloat16);
      EXPECT_TRUE(found[i].is_contiguous());
      EXPECT_EQ(found[i].sizes(), exact[i].sizes());
      const double away = (found[i].to(at::kDouble) - exact[i]).norm().item<double>();
      EXPECT_LE(away, 8e-3 * exact[i].norm().item<double>()) << "tensor " << i << ", batch " << s.batch;
    }
  }
}

TEST(LstmLayer, GivesTheSameBitsWithAnyNumberOfThreads) {
  for (const LayerSizes& s : kLayers) {
    if (!fits(s)) GTEST_SKIP() << "this processor has no AVX-512 for bfloat16";
    at::set_num_threads(1);
    const auto alone = own_step(s);
    at::set_num_threads(3);
    const auto together = own_step(s);
    at::set_num_threads(1);
    for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(at::equal(alone[i], together[i])) << i;
  }
}

TEST(LstmLayer, SaturatesWithoutLosingNumbers) {
  const LayerSizes s{2, 3, 4, 32};
  if (!fits(s)) GTEST_SKIP() << "this processor has no AVX-512 for bfloat16";
  for (const double size : {1e3, -1e3, 1e30}) {
    auto l = layer_leaves(s);
    for (at::Tensor& leaf : l) leaf = leaf * size;
    const at::Tensor y = lstm_layer(l[0], {l[1], l[2], l[3], l[4]});
    EXPECT_LE(y.abs().max().item<double>(), 1) << size;
  }
}

TEST(LstmLayer, LeavesOtherTypesAndOddSizesToATen) {
  EXPECT_FALSE(fits({2, 3, 4, 40}));
  EXPECT_FALSE(fits({2, 3, 5, 32}));
  EXPECT_FALSE(fits({0, 3, 4, 32}));
  auto l = layer_leaves({2, 3, 4, 32});
  for (at::Tensor& leaf : l) leaf = leaf.to(at::kFloat);
  EXPECT_FALSE(lstm_layer_fits(l[0], {l[1], l[2], l[3], l[4]}));
}

std::unique_ptr<Model> small_model(Precision precision, const LayerKernels& kernels = {}) {
  DatasetIndex data;
  data.sample_shape = {5};
  data.classes = 7;
  return make_model({.kind = ModelKind::kLstm, .embedding = 6, .hidden_size = 32, .layers = 2}, data, precision, 3,
                    kernels);
}

at::Tensor small_characters() {  // (4, 5)
  return at::arange(20, at::kLong).remainder(7).view({4, 5});
}

TEST(LstmLayer, OfTheModelGivesFloatGradientsUnderAutocast) {
  const at::Tensor characters = small_characters();
  const auto half = small_model(Precision::kBf16), exact = small_model(Precision::kFp64);
  loss_sum(half->forward(characters), characters).backward();
  loss_sum(exact->forward(characters), characters).backward();
  for (std::size_t i = 0; i < half->parameters().size(); ++i) {
    const auto& [name, parameter] = half->parameters()[i];
    const at::Tensor found = parameter.grad(), expected = exact->parameters()[i].second.grad();
    EXPECT_EQ(found.scalar_type(), at::kFloat) << name;
    EXPECT_LE((found.to(at::kDouble) - expected).norm().item<double>(), 2e-2 * expected.norm().item<double>()) << name;
  }
}

TEST(LstmLayer, OfTheModelIsATensWhereItIsOff) {
  const at::Tensor characters = small_characters();
  const auto ours = small_model(Precision::kBf16);
  const auto atens = small_model(Precision::kBf16, {.lstm = false});
  const auto exact = small_model(Precision::kFp64, {.lstm = false});
  const at::Tensor found = atens->forward(characters), expected = exact->forward(characters);
  EXPECT_NE(at::equal(found, ours->forward(characters)), fits({4, 5, 6, 32}));
  EXPECT_LE((found.to(at::kDouble) - expected).norm().item<double>(), 2e-2 * expected.norm().item<double>());
}

}  // namespace
}  // namespace regatta
