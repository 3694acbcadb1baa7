// Every instruction set against the formulas written out in double, and bit by bit where rounding is told exactly.

#include "worker/slice_kernels.hpp"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "common/error.hpp"
#include "tests/support/formula.hpp"

namespace regatta {
namespace {

using test::formula;

/// 64-byte aligned numbers of one kind.
class Numbers {
 public:
  Numbers(Number kind, std::int64_t count)
      : kind_(kind), bytes_(static_cast<std::byte*>(std::aligned_alloc(64, rounded(kind, count))), &std::free) {
    std::memset(bytes_.get(), 0, rounded(kind, count));
  }
  Numbers(Number kind, std::int64_t count, std::int64_t stream) : Numbers(kind, count) {
    for (std::int64_t i = 0; i < count; ++i) set(i, formula(stream, i));
  }
  std::byte* data() const { return bytes_.get(); }
  double get(std::int64_t i) const {
    if (kind_ == Number::kFloat64) return reinterpret_cast<const double*>(data())[i];
    if (kind_ == Number::kFloat32) return static_cast<double>(reinterpret_cast<const float*>(data())[i]);
    const std::uint32_t high = reinterpret_cast<const std::uint16_t*>(data())[i];
    return static_cast<double>(std::bit_cast<float>(high << 16));
  }
  void set(std::int64_t i, double value) const {
    if (kind_ == Number::kFloat64) reinterpret_cast<double*>(data())[i] = value;
    if (kind_ == Number::kFloat32) reinterpret_cast<float*>(data())[i] = static_cast<float>(value);
    if (kind_ == Number::kBfloat16)  // cut: still a bfloat16
      reinterpret_cast<std::uint16_t*>(data())[i] =
          static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16);
  }

 private:
  static std::size_t rounded(Number kind, std::int64_t count) {
    return (static_cast<std::size_t>(count) * bytes_of(kind) / 64 + 1) * 64;
  }
  Number kind_;
  std::unique_ptr<std::byte, decltype(&std::free)> bytes_;
};

struct Tested {
  const SliceKernels* kernels;
  std::int64_t count;
};
void PrintTo(const Tested& tested, std::ostream* out) {
  *out << tested.kernels->name << " " << tested.count;
}

class Slices : public testing::TestWithParam<Tested> {
 protected:
  static const SliceKernels& kernels() { return *GetParam().kernels; }
  static std::int64_t count() { return GetParam().count; }
};

struct Kinds {
  Number gradient, weight, working;
  double tolerance;
};
const std::vector<Kinds> kKinds = {{Number::kFloat64, Number::kFloat64, Number::kFloat64, 1e-14},
                                   {Number::kFloat32, Number::kFloat32, Number::kFloat32, 1e-6},
                                   {Number::kBfloat16, Number::kFloat32, Number::kBfloat16, 1e-6},
                                   {Number::kFloat32, Number::kFloat32, Number::kBfloat16, 1e-6},
                                   {Number::kBfloat16, Number::kFloat32, Number::kFloat32, 1e-6}};

/// The rules of torch.optim for one number.
struct Reference {
  double p, m = 0, v = 0;
  void step(const OptimizerSpec& spec, double lr, int t, double g) {
    if (spec.kind == OptimizerKind::kAdamw)
      p *= 1 - lr * spec.weight_decay;
    else
      g += spec.weight_decay * p;
    if (spec.kind == OptimizerKind::kSgd) {
      m = spec.momentum * m + g;
      p -= lr * (spec.nesterov ? g + spec.momentum * m : m);
      return;
    }
    m = spec.betas[0] * m + (1 - spec.betas[0]) * g;
    v = spec.betas[1] * v + (1 - spec.betas[1]) * g * g;
    const double mean = m / (1 - std::pow(spec.betas[0], t)), square = v / (1 - std::pow(spec.betas[1], t));
    p -= lr * mean / (std::sqrt(square) + spec.eps);
  }
};

const std::vector<OptimizerSpec> kRules = {
    {},
    {.weight_decay = 0.1},
    {.momentum = 0.9, .weight_decay = 0.01},
    {.momentum = 0.9, .weight_decay = 0.01, .nesterov = true},
    {.kind = OptimizerKind::kAdam, .weight_decay = 0.1},
    {.kind = OptimizerKind::kAdamw, .weight_decay = 0.1},
};

/// Three steps with the gradients of `ranks`, which are positive, because adam makes a whole step of what rounding
/// leaves where a sum cancels; what is left of `working` behind the slice stays as it was.
void expect_rule(const SliceKernels& kernels, std::int64_t count, const Kinds& kinds, const OptimizerSpec& spec,
                 int ranks, bool streaming) {
  constexpr int kDomains = 2;
  constexpr double kScale = 0.25, kRate = 0.1, kGuard = 3;
  const bool masters = kinds.working == Number::kBfloat16;
  Numbers weights(kinds.weight, count + 1, 1), momentum(kinds.weight, count), square(kinds.weight, count);
  std::vector<Numbers> working, gradients;
  for (int d = 0; d < kDomains; ++d) working.emplace_back(kinds.working, count + 1, 1);
  for (int r = 0; r < ranks; ++r) gradients.emplace_back(kinds.gradient, count);
  std::vector<Reference> expected;
  for (std::int64_t i = 0; i < count; ++i) expected.push_back({weights.get(i)});
  for (const Numbers& copy : working) copy.set(count, kGuard);

  for (int t = 1; t <= 3; ++t) {
    std::vector<const std::byte*> from;
    std::vector<std::byte*> to;
    for (int r = 0; r < ranks; ++r) {
      for (std::int64_t i = 0; i < count; ++i) gradients[r].set(i, 1.5 + formula(10 * t + r, i));
      from.push_back(gradients[r].data());
    }
    for (const Numbers& copy : working) to.push_back(copy.data());
    kernels.update({.count = count,
                    .gradient_number = kinds.gradient,
                    .gradients = from,
                    .scale = kScale,
                    .weight_number = kinds.weight,
                    .weights = masters ? weights.data() : to[0],
                    .working_number = kinds.working,
                    .working = to,
                    .momentum = momentum.data(),
                    .square = square.data(),
                    .streaming = streaming},
                   step_rule(spec, kRate, t));
    for (std::int64_t i = 0; i < count; ++i) {
      double sum = 0;
      for (const Numbers& gradient : gradients) sum += gradient.get(i);
      expected[i].step(spec, kRate, t, sum * kScale);
    }
  }
  streams_done();
  for (std::int64_t i = 0; i < count; ++i) {
    const double p = expected[i].p, found = masters ? weights.get(i) : working[0].get(i);
    ASSERT_NEAR(found, p, kinds.tolerance * 4) << "element " << i;
    for (const Numbers& copy : working)
      ASSERT_NEAR(copy.get(i), p, masters ? std::abs(p) / 256 + 1e-6 : kinds.tolerance * 4);
  }
  for (const Numbers& copy : working) ASSERT_EQ(copy.get(count), kGuard) << "written past the slice";
}

TEST_P(Slices, FollowEveryRule) {
  for (const Kinds& kinds : kKinds)
    for (const OptimizerSpec& spec : kRules)
      for (const int ranks : {1, 2, 3})
        for (const bool streaming : {true, false}) expect_rule(kernels(), count(), kinds, spec, ranks, streaming);
}

TEST_P(Slices, SumWithTheSquaresOfTheMeans) {
  for (const Kinds& kinds : kKinds) {
    const Number total = kinds.weight;
    const Numbers a(kinds.gradient, count(), 1), b(kinds.gradient, count(), 2), sums(total, count() + 1);
    sums.set(count(), 7);
    const std::vector<const std::byte*> from{a.data(), b.data()};
    const double squares = kernels().sum({.count = count(),
                                          .gradient_number = kinds.gradient,
                                          .gradients = from,
                                          .scale = 0.5,
                                          .total_number = total,
                                          .total = sums.data(),
                                          .streaming = true});
    streams_done();
    double expected = 0;
    for (std::int64_t i = 0; i < count(); ++i) {
      const double mean = (a.get(i) + b.get(i)) / 2;
      ASSERT_NEAR(sums.get(i), mean, kinds.tolerance);
      expected += mean * mean;
    }
    EXPECT_NEAR(squares, expected, kinds.tolerance * (1 + expected));
    EXPECT_EQ(sums.get(count()), 7) << "written past the slice";
  }
}

TEST_P(Slices, CopyAnyNumberOfBytesToAnyPlace) {
  const auto bytes = static_cast<std::size_t>(count());
  std::vector<std::byte> from(bytes + 1), expected(bytes + 130, std::byte{0xee});
  for (std::size_t i = 0; i < bytes; ++i) from[i + 1] = static_cast<std::byte>(i * 7);
  for (const std::size_t offset : {0, 1, 64}) {
    const Numbers to(Number::kBfloat16, count());  // twice the bytes
    std::memset(to.data(), 0xee, bytes + 1);
    const std::size_t room = std::min(bytes, 2 * bytes - std::min(2 * bytes, offset));
    kernels().copy(to.data() + offset, from.data() + 1, room);
    streams_done();
    EXPECT_EQ(std::memcmp(to.data() + offset, from.data() + 1, room), 0);
  }
}

TEST_P(Slices, RoundMastersToTheNearestBfloat16) {
  if (count() < 7) GTEST_SKIP() << "seven cases";
  const float above_half = std::nextafter(1.00390625F, 2.0F), infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<float, float>> cases = {
      {1.0F, 1.0F},
      {1.00390625F, 1.0F},       // a tie, to even
      {1.01171875F, 1.015625F},  // a tie, to even upwards
      {above_half, 1.0078125F},
      {-1.01171875F, -1.015625F},
      {3.4e38F, infinity},  // the nearest one has no finite bits
      {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::quiet_NaN()}};
  const Numbers weights(Number::kFloat32, count()), gradient(Number::kFloat32, count());
  const Numbers working(Number::kBfloat16, count());
  for (std::size_t i = 0; i < static_cast<std::size_t>(count()); ++i)
    reinterpret_cast<float*>(weights.data())[i] = cases[i % cases.size()].first;
  const std::vector<const std::byte*> from{gradient.data()};
  const std::vector<std::byte*> to{working.data()};
  kernels().update({.count = count(),
                    .gradients = from,
                    .weights = weights.data(),
                    .working_number = Number::kBfloat16,
                    .working = to},
                   step_rule({}, 0, 1));
  streams_done();
  for (std::int64_t i = 0; i < count(); ++i) {
    const auto expected = static_cast<double>(cases[static_cast<std::size_t>(i) % cases.size()].second);
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(working.get(i))) << i;
    else
      EXPECT_EQ(working.get(i), expected) << i;
  }
}

std::vector<Tested> all_tested() {
  std::vector<Tested> tested;
  for (const SliceKernels* kernels : slice_kernels())
    for (const std::int64_t count : {1, 15, 16, 33, 1000}) tested.push_back({kernels, count});
  return tested;
}
// Rounded to 8 bits each time, and yet the sum over steps is right to the rounding of one.
TEST_P(Slices, WhatRoundingTakesIsAddedToTheNextStep) {
  for (const Number number : {Number::kFloat32, Number::kBfloat16}) {
    constexpr int kSteps = 50;
    const std::int64_t count = Slices::count();
    Numbers first(number, count), second(number, count), rounded(Number::kBfloat16, count);
    std::vector<float> left(static_cast<std::size_t>(count));
    std::vector<double> sent(left.size()), meant(left.size());
    for (int step = 0; step < kSteps; ++step) {
      for (std::int64_t i = 0; i < count; ++i) {
        first.set(i, 1.0 + 0.001 * static_cast<double>(i % 997) + 0.01 * step);
        second.set(i, 0.1);
        meant[static_cast<std::size_t>(i)] += first.get(i) + second.get(i);
      }
      const std::array<const std::byte*, 2> gradients{first.data(), second.data()};
      kernels().round({.count = count,
                       .gradient_number = number,
                       .gradients = gradients,
                       .left = left.data(),
                       .rounded = rounded.data()});
      for (std::int64_t i = 0; i < count; ++i) sent[static_cast<std::size_t>(i)] += rounded.get(i);
    }
    for (std::size_t i = 0; i < left.size(); ++i) {
      EXPECT_NEAR(sent[i] + static_cast<double>(left[i]), meant[i], 1e-4);
      EXPECT_LE(std::abs(left[i]), 1.0 / 128);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Slices, testing::ValuesIn(all_tested()), [](const auto& tested) {
  std::string name = tested.param.kernels->name;
  std::erase(name, '-');
  return name + "With" + std::to_string(tested.param.count);
});

}  // namespace
}  // namespace regatta
