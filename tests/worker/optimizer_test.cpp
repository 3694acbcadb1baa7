// Against the recurrence written out by hand for one number, and the closed form of a constant gradient.

#include "worker/optimizer.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>

namespace regatta {
namespace {

Parameter leaf(const std::vector<double>& values) {
  return {"p", at::tensor(values, at::kDouble).requires_grad_(true)};
}

TEST(Sgd, ConstantGradientHasAClosedForm) {
  const double lr = 0.1, momentum = 0.9, g = 3;
  const std::vector<Parameter> parameters{leaf({1, -2})};
  const auto optimizer = make_optimizer({.lr = 1e9, .momentum = momentum}, parameters);  // lr is an argument
  constexpr int kSteps = 25;
  for (int step = 0; step < kSteps; ++step) optimizer->apply({0}, {at::full({2}, g, at::kDouble)}, lr);
  // buf_t = g (1 - m^t) / (1 - m), so p_T = p_0 - lr g / (1 - m) (T - m (1 - m^T) / (1 - m)).
  const double moved =
      lr * g / (1 - momentum) * (kSteps - momentum * (1 - std::pow(momentum, kSteps)) / (1 - momentum));
  EXPECT_NEAR(parameters[0].tensor[0].item<double>(), 1 - moved, 1e-11);
  EXPECT_NEAR(parameters[0].tensor[1].item<double>(), -2 - moved, 1e-11);
}

struct Rule {
  const char* name;
  OptimizerSpec spec;
};

class SgdRules : public testing::TestWithParam<Rule> {};

TEST_P(SgdRules, FollowTorchsRecurrence) {
  const OptimizerSpec& spec = GetParam().spec;
  const std::vector<Parameter> parameters{leaf({0.5}), leaf({2.0})};
  const auto optimizer = make_optimizer(spec, parameters);
  std::vector<double> weights{0.5, 2.0}, buffers(2, 0);
  for (int step = 0; step < 6; ++step) {
    const double lr = 0.1 / (1 + step);
    for (std::size_t i = 0; i < 2; ++i) {
      const double raw = std::sin(step + 10.0 * static_cast<double>(i));
      optimizer->apply({i}, {at::full({1}, raw, at::kDouble)}, lr);
      double g = raw + spec.weight_decay * weights[i];
      buffers[i] = step == 0 ? g : spec.momentum * buffers[i] + g;
      if (spec.momentum != 0) g = spec.nesterov ? g + spec.momentum * buffers[i] : buffers[i];
      weights[i] -= lr * g;
      EXPECT_NEAR(parameters[i].tensor.item<double>(), weights[i], 1e-14) << "step " << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, SgdRules,
                         testing::Values(Rule{"Plain", {}}, Rule{"Momentum", {.momentum = 0.9}},
                                         Rule{"Decay", {.momentum = 0.9, .weight_decay = 0.01}},
                                         Rule{"Nesterov", {.momentum = 0.8, .weight_decay = 0.1, .nesterov = true}}),
                         [](const auto& tested) { return tested.param.name; });

TEST(Sgd, KeepsTheParameterALeafAndTheGradientUntouched) {
  const std::vector<Parameter> parameters{leaf({1})};
  const at::Tensor gradient = at::full({1}, 2.0, at::kDouble);
  const auto optimizer = make_optimizer({.momentum = 0.9}, parameters);
  optimizer->apply({0}, {gradient}, 0.1);
  optimizer->apply({0}, {gradient}, 0.1);
  EXPECT_EQ(gradient.item<double>(), 2.0);
  EXPECT_TRUE(parameters[0].tensor.is_leaf() && parameters[0].tensor.requires_grad());
}

TEST(Optimizer, GivesTheSameBitsToManyAtOnce) {
  for (const OptimizerSpec& spec : {OptimizerSpec{.momentum = 0.9, .weight_decay = 0.01, .nesterov = true},
                                    OptimizerSpec{.weight_decay = 0.1}, OptimizerSpec{.kind = OptimizerKind::kAdam},
                                    OptimizerSpec{.kind = OptimizerKind::kAdamw, .weight_decay = 0.1}}) {
    std::vector<Parameter> single, together;
    for (const std::int64_t size : {7, 1000, 1, 33}) {
      const at::Tensor start = at::linspace(-1, 1, size, at::kFloat);
      single.push_back({"p", start.clone().requires_grad_(true)});
      together.push_back({"p", start.clone().requires_grad_(true)});
    }
    const auto one = make_optimizer(spec, single), many = make_optimizer(spec, together);
    for (int step = 1; step <= 3; ++step) {
      std::vector<at::Tensor> gradients;
      for (std::size_t i = 0; i < single.size(); ++i)
        gradients.push_back(at::sin(at::arange(single[i].tensor.numel(), at::kFloat) + step));
      for (std::size_t i = 0; i < single.size(); ++i) one->apply({i}, {gradients[i]}, 0.1);
      many->apply({3, 0}, {gradients[3], gradients[0]}, 0.1);  // as in a bucket: in any order
      many->apply({1, 2}, {gradients[1], gradients[2]}, 0.1);
    }
    for (std::size_t i = 0; i < single.size(); ++i) EXPECT_TRUE(at::equal(together[i].tensor, single[i].tensor)) << i;
  }
}

TEST(Optimizer, ASkippedStepLeavesWeightsAndStateAlone) {
  for (const OptimizerSpec& spec :
       {OptimizerSpec{.momentum = 0.9, .weight_decay = 0.1}, OptimizerSpec{.kind = OptimizerKind::kAdam},
        OptimizerSpec{.kind = OptimizerKind::kAdamw, .weight_decay = 0.1}}) {
    const at::Tensor skip = at::zeros({}, at::kFloat);
    const std::vector<Parameter> expected{leaf({0.5, 2})}, found{leaf({0.5, 2})};
    const auto never = make_optimizer(spec, expected), sometimes = make_optimizer(spec, found, skip);
    for (int step = 0; step < 6; ++step) {
      const at::Tensor gradient = at::full({2}, std::sin(step), at::kDouble);
      const bool skipped = step % 2 == 0;  // the first one, too
      skip.fill_(skipped ? 1 : 0);
      if (!skipped) never->apply({0}, {gradient}, 0.1);
      sometimes->apply({0}, {skipped ? at::full({2}, NAN, at::kDouble) : gradient}, 0.1);
      EXPECT_TRUE(at::equal(found[0].tensor, expected[0].tensor)) << "step " << step;
    }
  }
}

TEST(Optimizer, RefusesAGradientOfAnotherLayout) {  // the kernels walk raw memory
  const at::Tensor weights = at::zeros({2, 3}, at::kDouble).requires_grad_(true);
  const auto optimizer = make_optimizer({}, {{"p", weights}});
  EXPECT_THROW(optimizer->apply({0}, {at::ones({3, 2}, at::kDouble).t()}, 0.1), std::logic_error);
}

TEST(Optimizer, TakesAGradientWhoseLayoutDiffersInNameOnly) {
  const at::Tensor weights = at::zeros({8, 1, 5, 5}, at::kDouble).requires_grad_(true);
  const at::Tensor gradient = at::arange(200, at::kDouble).as_strided({8, 1, 5, 5}, {25, 1, 5, 1});
  make_optimizer({}, {{"p", weights}})->apply({0}, {gradient}, 1);
  EXPECT_TRUE(at::equal(weights.detach(), -gradient));
}

}  // namespace
}  // namespace regatta
