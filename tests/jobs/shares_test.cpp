#include "jobs/shares.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "jobs/sample_order.hpp"

namespace regatta {
namespace {

TEST(Shares, LastBatchIsShortAndKept) {
  EXPECT_EQ(batches_per_epoch(60'000, 128), 469);
  EXPECT_EQ(global_batch(60'000, 128, 0), (PositionRange{0, 128}));
  EXPECT_EQ(global_batch(60'000, 128, 467), (PositionRange{59'776, 59'904}));
  EXPECT_EQ(global_batch(60'000, 128, 468), (PositionRange{59'904, 60'000}));
  EXPECT_EQ(batches_per_epoch(256, 128), 2);
  EXPECT_EQ(global_batch(256, 128, 1), (PositionRange{128, 256}));
  EXPECT_EQ(batches_per_epoch(5, 128), 1);
  EXPECT_EQ(global_batch(5, 128, 0), (PositionRange{0, 5}));
}

TEST(Shares, OutsideTheEpochIsOurBug) {
  EXPECT_THROW(global_batch(256, 128, 2), std::logic_error);
  EXPECT_THROW(global_batch(256, 128, -1), std::logic_error);
  EXPECT_THROW(batches_per_epoch(10, 0), std::logic_error);
}

struct Example {
  PositionRange range;
  std::vector<std::int64_t> weights;
  std::vector<PositionRange> parts;
};

TEST(Shares, HandComputedParts) {
  const std::vector<Example> examples = {
      {{0, 128}, {1}, {{0, 128}}},
      {{128, 256}, {1, 1}, {{128, 192}, {192, 256}}},
      {{0, 128}, {1, 1, 1}, {{0, 42}, {42, 85}, {85, 128}}},  // floor(42.67), floor(85.33)
      {{0, 128}, {3, 1}, {{0, 96}, {96, 128}}},
      {{59'904, 60'000}, {3, 1}, {{59'904, 59'976}, {59'976, 60'000}}},  // the short last batch, 96 samples
      {{0, 2}, {1, 1, 1, 1}, {{0, 0}, {0, 1}, {1, 1}, {1, 2}}},          // fewer samples than ranks
      {{0, 10}, {0, 5, 0}, {{0, 0}, {0, 10}, {10, 10}}},                 // a weight of zero reads nothing
      {{7, 7}, {1, 1}, {{7, 7}, {7, 7}}},
      {{0, 1000}, {INT64_C(1) << 60, INT64_C(3) << 60}, {{0, 250}, {250, 1000}}},  // products beyond 64 bits
  };
  for (const auto& example : examples) {
    for (std::size_t rank = 0; rank < example.parts.size(); ++rank)
      EXPECT_EQ(share_of(example.range, example.weights, static_cast<int>(rank)), example.parts[rank])
          << "rank " << rank << " of " << example.weights.size();
  }
}

TEST(Shares, MicroBatchesCutABatchEvenly) {
  EXPECT_EQ(micro_batch({128, 256}, 1, 0), (PositionRange{128, 256}));
  EXPECT_EQ(micro_batch({128, 256}, 4, 1), (PositionRange{160, 192}));
  EXPECT_EQ(micro_batch({0, 10}, 3, 0), (PositionRange{0, 3}));
  EXPECT_EQ(micro_batch({0, 10}, 3, 2), (PositionRange{6, 10}));
  EXPECT_EQ(micro_batch({0, 1}, 2, 0), (PositionRange{0, 0}));  // a short last batch may leave a part empty
  EXPECT_THROW(micro_batch({0, 10}, 3, 3), std::logic_error);
}

TEST(Shares, PartsTileTheRangeForRandomWeights) {
  std::mt19937_64 random(20);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<std::int64_t> weights(1 + random() % 9);
    const std::uint64_t largest = trial % 3 == 0 ? 3 : std::uint64_t{1} << (random() % 40);
    for (auto& weight : weights) weight = static_cast<std::int64_t>(random() % largest);
    weights[random() % weights.size()] += 1;
    const auto begin = static_cast<std::int64_t>(random() % 100'000);
    const PositionRange range{begin, begin + static_cast<std::int64_t>(random() % 500)};
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::int64_t at = range.begin;
    for (std::size_t rank = 0; rank < weights.size(); ++rank) {
      const PositionRange part = share_of(range, weights, static_cast<int>(rank));
      ASSERT_EQ(part.begin, at) << "a gap or an overlap before rank " << rank;
      ASSERT_GE(part.size(), 0);
      // Rounding moves each boundary by less than one sample.
      const double exact = static_cast<double>(range.size()) * static_cast<double>(weights[rank]) / total;
      ASSERT_LT(std::abs(static_cast<double>(part.size()) - exact), 1.0 + 1e-6);
      ASSERT_TRUE(weights[rank] > 0 || part.size() == 0);
      at = part.end;
    }
    ASSERT_EQ(at, range.end);
  }
}

TEST(Shares, BadWeightsAreOurBug) {
  const std::vector<std::int64_t> zeros{0, 0}, negative{2, -1}, fine{1, 1};
  EXPECT_THROW(share_of({0, 8}, zeros, 0), std::logic_error);
  EXPECT_THROW(share_of({0, 8}, negative, 0), std::logic_error);
  EXPECT_THROW(share_of({0, 8}, fine, 2), std::logic_error);
  EXPECT_THROW(share_of({0, 8}, fine, -1), std::logic_error);
}

/// The samples of one global batch as `weights.size()` ranks read it.
std::multiset<std::int64_t> delivered(const SampleOrder& order, std::int64_t batch_size, std::int64_t batch,
                                      const std::vector<std::int64_t>& weights) {
  std::multiset<std::int64_t> samples;
  for (std::size_t rank = 0; rank < weights.size(); ++rank) {
    const PositionRange part =
        share_of(global_batch(order.count(), batch_size, batch), weights, static_cast<int>(rank));
    for (std::int64_t position = part.begin; position < part.end; ++position) samples.insert(order(position));
  }
  return samples;
}

TEST(Shares, EveryNumberOfRanksReadsTheSameBatches) {
  constexpr std::int64_t kCount = 1003, kBatch = 64;
  const SampleOrder order(kCount, 7, 2);
  std::set<std::int64_t> epoch;
  for (std::int64_t batch = 0; batch < batches_per_epoch(kCount, kBatch); ++batch) {
    const auto one_rank = delivered(order, kBatch, batch, {1});
    EXPECT_EQ(one_rank.size(), batch == 15 ? 43U : 64U);
    for (std::size_t ranks = 2; ranks <= 7; ++ranks) {
      EXPECT_EQ(delivered(order, kBatch, batch, std::vector<std::int64_t>(ranks, 1)), one_rank) << ranks << " ranks";
      std::vector<std::int64_t> unequal(ranks);
      std::iota(unequal.begin(), unequal.end(), 0);
      EXPECT_EQ(delivered(order, kBatch, batch, unequal), one_rank) << ranks << " unequal ranks";
    }
    epoch.insert(one_rank.begin(), one_rank.end());
  }
  EXPECT_EQ(epoch.size(), static_cast<std::size_t>(kCount)) << "an epoch holds every sample once";
}

TEST(Passes, AreAsManyOnEveryRankAndNoneIsTooLarge) {
  EXPECT_EQ(passes_of(128, std::vector<std::int64_t>{1, 1}, 64), 1);
  EXPECT_EQ(passes_of(128, std::vector<std::int64_t>{1, 1}, 63), 2);
  EXPECT_EQ(passes_of(128, std::vector<std::int64_t>{3, 1}, 32), 3) << "the largest share decides";
  EXPECT_EQ(passes_of(0, std::vector<std::int64_t>{1}, 32), 1) << "a part may be empty";
  EXPECT_THROW(passes_of(1, std::vector<std::int64_t>{1}, 0), std::logic_error);
  const std::vector<std::int64_t> weights{1, 7, 0, 3};
  for (std::int64_t size = 0; size <= 50; ++size)
    for (std::int64_t most = 1; most <= 12; ++most) {
      const std::int64_t passes = passes_of(size, weights, most);
      for (int rank = 0; rank < 4; ++rank)
        for (std::int64_t pass = 0; pass < passes; ++pass)
          EXPECT_LE(micro_batch(share_of({0, size}, weights, rank), passes, pass).size(), most);
    }
}

}  // namespace
}  // namespace regatta
