#include "jobs/sample_order.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

namespace regatta {
namespace {

std::vector<std::int64_t> epoch_order(std::int64_t count, std::uint64_t seed, std::int64_t epoch) {
  const SampleOrder order(count, seed, epoch);
  std::vector<std::int64_t> samples;
  for (std::int64_t position = 0; position < count; ++position) samples.push_back(order(position));
  return samples;
}

void expect_bijection(std::int64_t count, std::uint64_t seed, std::int64_t epoch) {
  std::vector<char> seen(static_cast<std::size_t>(count), 0);
  for (const std::int64_t sample : epoch_order(count, seed, epoch)) {
    ASSERT_GE(sample, 0);
    ASSERT_LT(sample, count) << "n = " << count;
    ASSERT_EQ(seen[static_cast<std::size_t>(sample)]++, 0) << "sample " << sample << " twice, n = " << count;
  }
}

TEST(SampleOrder, IsABijection) {
  for (std::int64_t count = 1; count <= 300; ++count)
    for (std::uint64_t seed : {0, 1, 77}) expect_bijection(count, seed, 1 + count % 3);
  for (std::int64_t count : {1023, 1024, 1025, 4095, 4096, 4097, 16'383, 16'385, 60'000, 65'536, 65'537, 262'145})
    expect_bijection(count, UINT64_MAX, 4);
}

TEST(SampleOrder, HoldsAtVeryLargeCounts) {
  constexpr std::int64_t kCount = (std::int64_t{1} << 62) - 5;
  const SampleOrder order(kCount, 3, 1);
  std::set<std::int64_t> seen;
  for (std::int64_t position = kCount - 1000; position < kCount; ++position) {
    const std::int64_t sample = order(position);
    EXPECT_GE(sample, 0);
    EXPECT_LT(sample, kCount);
    EXPECT_TRUE(seen.insert(sample).second);
  }
  EXPECT_THROW(SampleOrder(INT64_MAX, 1, 1), std::logic_error);
}

TEST(SampleOrder, DiffersBySeedAndEpoch) {
  const auto first = epoch_order(1000, 1, 1);
  EXPECT_EQ(epoch_order(1000, 1, 1), first) << "the same key gives the same order";
  // Two independent permutations agree in one place on average (Poisson); 10 places or more has probability 1e-7.
  const auto agreements = [](const auto& a, const auto& b) {
    int same = 0;
    for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i];
    return same;
  };
  const auto next_epoch = epoch_order(1000, 1, 2), next_seed = epoch_order(1000, 2, 1);
  EXPECT_LT(agreements(first, next_epoch), 10);
  EXPECT_LT(agreements(first, next_seed), 10);
  EXPECT_LT(agreements(next_epoch, next_seed), 10) << "seed and epoch must not be interchangeable";
  std::vector<std::int64_t> identity(1000);
  for (std::size_t i = 0; i < identity.size(); ++i) identity[i] = static_cast<std::int64_t>(i);
  EXPECT_LT(agreements(first, identity), 10);
}

/// Pearson's statistic over `cells` with equal expectation.
double chi_square(const std::vector<int>& cells, double expected) {
  double sum = 0;
  for (const int cell : cells) sum += (cell - expected) * (cell - expected) / expected;
  return sum;
}

TEST(SampleOrder, IsUniformOverKeys) {
  // Over 4000 keys every (position, sample) pair of n = 10 must come up 400 times. For each position the statistic has
  // 9 degrees of freedom; 33.7 is exceeded with probability 1e-4.
  constexpr int kCount = 10, kKeys = 4000;
  std::vector<std::vector<int>> hits(kCount, std::vector<int>(kCount, 0));
  for (int key = 0; key < kKeys; ++key) {
    const SampleOrder order(kCount, static_cast<std::uint64_t>(key / 4), 1 + key % 4);
    for (int position = 0; position < kCount; ++position)
      ++hits[static_cast<std::size_t>(position)][static_cast<std::size_t>(order(position))];
  }
  for (int position = 0; position < kCount; ++position)
    EXPECT_LT(chi_square(hits[static_cast<std::size_t>(position)], kKeys / static_cast<double>(kCount)), 33.7)
        << "position " << position;
}

TEST(SampleOrder, MixesNeighboursWithinAnEpoch) {
  // The step from one sample to the next, in 20 cells of a circle, is uniform for a random permutation.
  // 19 degrees of freedom; 50.8 is exceeded with probability 1e-4.
  constexpr std::int64_t kCount = 60'000;
  const auto samples = epoch_order(kCount, 1, 1);
  std::vector<int> cells(20, 0);
  for (std::size_t i = 1; i < samples.size(); ++i)
    ++cells[static_cast<std::size_t>((samples[i] - samples[i - 1] + kCount) % kCount * 20 / kCount)];
  EXPECT_LT(chi_square(cells, (kCount - 1) / 20.0), 50.8);
  // And the first half of the epoch draws evenly from the data set: 30 cells, 29 degrees of freedom, 64.5 at 1e-4
  // (sampling without replacement varies less still).
  std::vector<int> drawn(30, 0);
  for (std::size_t i = 0; i < samples.size() / 2; ++i) ++drawn[static_cast<std::size_t>(samples[i] * 30 / kCount)];
  EXPECT_LT(chi_square(drawn, 1000), 64.5);
}

TEST(SampleOrder, StaysAsItIs) {
  // Pins the order, because resuming and comparing with older runs depend on it. The numbers come from a second
  // implementation, in Python, of the design note in sample_order.cpp.
  const SampleOrder order(60'000, 1, 1);
  const std::vector<std::int64_t> first{order(0), order(1), order(2), order(59'999)};
  EXPECT_EQ(first, (std::vector<std::int64_t>{3752, 43171, 55358, 31044}));
}

TEST(SampleOrder, OutsideIsOurBug) {
  EXPECT_THROW(SampleOrder(0, 1, 1), std::logic_error);
  const SampleOrder order(5, 1, 1);
  EXPECT_THROW(order(5), std::logic_error);
  EXPECT_THROW(order(-1), std::logic_error);
}

}  // namespace
}  // namespace regatta
