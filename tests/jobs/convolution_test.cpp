// Oracle: ATen's convolution in float64.

#include "jobs/convolution.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include "jobs/winograd.hpp"
#include "tests/jobs/waves.hpp"

namespace regatta {
namespace {

using test::waves;

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

struct Sizes {
  std::int64_t batch, inputs, outputs, height, width;
};

struct Step {
  at::Tensor y, dx, dw;
};

/// Of sum(y c) with c in waves, rounded to `type`. `x` and `weight` are leaves from here on.
template <class Convolution>
Step step(at::Tensor x, at::Tensor weight, at::ScalarType type, const Convolution& convolution) {
  x.requires_grad_(true);
  weight.requires_grad_(true);
  const at::Tensor y = convolution(x, weight);
  (y * waves(y.sizes(), 2).to(type).to(y.scalar_type())).sum().backward();
  return {y.detach(), x.grad(), weight.grad()};
}

Step ours(const Sizes& s, at::ScalarType images, at::ScalarType weights, at::MemoryFormat weight_layout) {
  return step(waves({s.batch, s.inputs, s.height, s.width}, 0).to(images).contiguous(kChannelsLast),
              waves({s.outputs, s.inputs, 3, 3}, 1).to(images).to(weights).contiguous(weight_layout), images,
              [](const at::Tensor& x, const at::Tensor& weight) { return convolve(x, weight, 1); });
}

/// In double, of numbers that are rounded before.
Step expected(const Sizes& s, at::ScalarType type) {
  return step(waves({s.batch, s.inputs, s.height, s.width}, 0).to(type).to(at::kDouble),
              waves({s.outputs, s.inputs, 3, 3}, 1).to(type).to(at::kDouble), type,
              [](const at::Tensor& x, const at::Tensor& weight) { return at::conv2d(x, weight, {}, 1, 1); });
}

double difference(const at::Tensor& found, const at::Tensor& exact) {
  return (found.to(at::kDouble) - exact).norm().item<double>() / exact.norm().item<double>();
}

/// One block of tiles and several, borders that tiles stick out of, more channels on either side.
const std::vector<Sizes> kSizes{{2, 32, 64, 12, 12}, {1, 64, 32, 4, 4},   {3, 32, 32, 11, 9},
                                {5, 32, 32, 24, 28}, {1, 96, 160, 8, 15}, {7, 64, 64, 16, 15}};

TEST(Convolution, IsATensBitForBitWithoutOurs) {
  const at::Tensor x = waves({2, 32, 12, 12}, 0).to(at::kFloat).contiguous(kChannelsLast);
  const at::Tensor weight = waves({64, 32, 3, 3}, 1).to(at::kFloat);
  const at::Tensor exact = at::conv2d(x, weight, {}, 1, 1);
  EXPECT_TRUE(at::equal(convolve(x, weight, 1, /*own=*/false), exact));
  EXPECT_NE(at::equal(convolve(x, weight, 1), exact), winograd_fits({2, 12, 12, 32, 64}));
}

TEST(Convolution, IsATensRounded) {
  for (const Sizes& s : kSizes)
    for (const auto layout : {at::MemoryFormat::Contiguous, kChannelsLast}) {
      const Step found = ours(s, at::kFloat, at::kFloat, layout), exact = expected(s, at::kFloat);
      SCOPED_TRACE(testing::Message() << s.inputs << " to " << s.outputs << ", " << s.height << " x " << s.width);
      EXPECT_LE(difference(found.y, exact.y), 2e-5);
      EXPECT_LE(difference(found.dx, exact.dx), 2e-5);
      EXPECT_LE(difference(found.dw, exact.dw), 5e-5);
      EXPECT_TRUE(found.y.is_contiguous(kChannelsLast));
      EXPECT_TRUE(found.dw.is_contiguous(layout)) << "as the parameter";
    }
}

TEST(Convolution, InBfloatIsAsExactAsBfloatGoes) {
  for (const at::ScalarType weights : {at::kFloat, at::kBFloat16})
    for (const Sizes& s : kSizes) {
      const Step found = ours(s, at::kBFloat16, weights, at::MemoryFormat::Contiguous),
                 exact = expected(s, at::kBFloat16);
      EXPECT_EQ(found.y.scalar_type(), at::kBFloat16);
      EXPECT_EQ(found.dx.scalar_type(), at::kBFloat16);
      EXPECT_EQ(found.dw.scalar_type(), weights);
      EXPECT_LE(difference(found.y, exact.y), 4e-3);
      EXPECT_LE(difference(found.dx, exact.dx), 4e-3);
      EXPECT_LE(difference(found.dw, exact.dw), 4e-3);
    }
}

TEST(Convolution, GivesTheSameBitsWithAnyNumberOfThreads) {
  for (const Sizes& s : kSizes) {
    at::set_num_threads(1);
    const Step alone = ours(s, at::kFloat, at::kFloat, at::MemoryFormat::Contiguous);
    at::set_num_threads(3);
    const Step together = ours(s, at::kFloat, at::kFloat, at::MemoryFormat::Contiguous);
    at::set_num_threads(1);
    EXPECT_TRUE(at::equal(alone.y, together.y));
    EXPECT_TRUE(at::equal(alone.dx, together.dx));
    EXPECT_TRUE(at::equal(alone.dw, together.dw));
  }
}

TEST(Convolution, OfASampleDoesNotDependOnItsNeighbours) {
  const at::Tensor x = waves({9, 32, 20, 20}, 0).to(at::kFloat).contiguous(kChannelsLast),
                   weight = waves({32, 32, 3, 3}, 1).to(at::kFloat);
  const at::Tensor whole = convolve(x, weight, 1);
  EXPECT_TRUE(at::equal(convolve(x.narrow(0, 4, 3), weight, 1), whole.narrow(0, 4, 3)));
}

TEST(Convolution, TakesNoSamples) {
  const Step found = ours({0, 32, 64, 8, 8}, at::kFloat, at::kFloat, at::MemoryFormat::Contiguous);
  EXPECT_EQ(found.y.sizes(), at::IntArrayRef({0, 64, 8, 8}));
  EXPECT_EQ(found.dx.sizes(), at::IntArrayRef({0, 32, 8, 8}));
  EXPECT_TRUE(at::equal(found.dw, at::zeros({64, 32, 3, 3})));
}

TEST(Convolution, LeavesTheRestToATen) {
  EXPECT_FALSE(winograd_fits({1, 8, 8, 3, 64}));
  EXPECT_FALSE(winograd_fits({1, 8, 8, 64, 40}));
  EXPECT_FALSE(winograd_fits({1, 5, 5, 64, 64})) << "four tiles of 16 pixels for 25";
  for (const std::int64_t stride : {1, 2})
    for (const std::int64_t kernel : {1, 3}) {
      const at::Tensor x = waves({2, 32, 9, 9}, 0), weight = waves({32, 32, kernel, kernel}, 1);
      EXPECT_TRUE(at::equal(convolve(x, weight, stride), at::conv2d(x, weight, {}, stride, kernel / 2)));
    }
}

}  // namespace
}  // namespace regatta
