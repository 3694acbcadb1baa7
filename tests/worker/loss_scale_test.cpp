#include "worker/loss_scale.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace regatta {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A scale, and what one number as gradient makes of it.
struct Scaled {
  explicit Scaled(const LossScaleRule& rule) : scale(c10::Device(c10::kCPU), rule) {}
  double settle(double gradient) {
    const at::Tensor values = at::tensor({1.0, gradient}, at::kFloat);
    scale.settle({values});
    return values[1].item<double>();
  }
  double now() const { return scale.scale().item<double>(); }

  LossScale scale;
};

TEST(LossScale, HalvesAtOverflowAndGrowsAfterGoodStepsInARow) {
  Scaled loss({.growth_steps = 3});
  const std::vector<std::pair<double, double>> expected{
      // gradient, the scale after it
      {1, 65536}, {1, 65536},   {kInfinity, 32768},  {1, 32768}, {1, 32768}, {1, 65536},
      {1, 65536}, {NAN, 32768}, {-kInfinity, 16384}, {1, 16384}, {1, 16384}, {1, 32768}};
  double skips = 0;
  for (const auto& [gradient, after] : expected) {
    loss.settle(gradient);
    const bool overflow = gradient != 1;
    skips = overflow ? skips + 1 : 0;
    EXPECT_EQ(loss.now(), after);
    EXPECT_EQ(loss.scale.overflow().item<double>(), overflow ? 1 : 0);
    EXPECT_EQ(loss.scale.skips().item<double>(), skips);
  }
}

TEST(LossScale, IsOfTheMeanAndComesOutAgain) {
  Scaled loss({});
  constexpr std::int64_t kSamples = 12;
  const at::Tensor start = loss.scale.loss_gradient(kSamples);
  EXPECT_EQ(start.scalar_type(), at::kFloat);
  EXPECT_FLOAT_EQ(start.item<float>(), 65536.0F / kSamples);
  EXPECT_FLOAT_EQ(static_cast<float>(loss.settle(start.item<double>() * 3 * kSamples)), 3);
}

TEST(LossScale, IsBelowOneWhenItGivesUp) {
  const LossScaleRule rule;
  Scaled loss(rule);
  for (std::int64_t step = 0; step < rule.most_skips; ++step) loss.settle(kInfinity);
  EXPECT_EQ(loss.scale.skips().item<double>(), static_cast<double>(loss.scale.most_skips()));
  EXPECT_LT(loss.now(), 1) << "it is not the scale";
}

}  // namespace
}  // namespace regatta
