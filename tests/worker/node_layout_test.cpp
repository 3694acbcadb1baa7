// Layouts of random models: nothing overlaps, slices tile, buckets come in the order of backward.

#include "worker/node_layout.hpp"

#include <gmock/gmock.h>

#include <random>

namespace regatta {
namespace {

std::vector<NodeParameter> random_parameters(std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<NodeParameter> parameters(1 + random() % 20);
  for (NodeParameter& parameter : parameters)
    parameter = {static_cast<std::int64_t>(1 + random() % 3000), random() % 2 == 0 ? 2 : 4};
  return parameters;
}

TEST(NodeLayout, ParametersLieApartInBucketsOfTheirSize) {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    const auto parameters = random_parameters(seed);
    const NodeLayout layout = make_node_layout(parameters, 8000);
    std::vector<std::pair<std::int64_t, std::int64_t>> ranges;  // bytes
    std::vector<int> seen(parameters.size());
    for (std::size_t b = 0; b < layout.buckets.size(); ++b) {
      const NodeBucket& bucket = layout.buckets[b];
      EXPECT_EQ(bucket.first_byte % 4096, 0);
      EXPECT_EQ(bucket.elements % kSliceGrain, 0);
      EXPECT_TRUE(bucket.parameters.size() == 1 || bucket.elements * bucket.element_bytes <= 8000);
      for (const std::size_t i : bucket.parameters) {
        const NodeSlot& slot = layout.slots[i];
        ++seen[i];
        EXPECT_EQ(slot.bucket, static_cast<int>(b));
        EXPECT_EQ(slot.count, parameters[i].count);
        EXPECT_EQ(parameters[i].element_bytes, bucket.element_bytes);
        EXPECT_EQ(slot.begin % kSliceGrain, 0);
        const std::int64_t begin = bucket.first_byte + slot.begin * bucket.element_bytes;
        ranges.emplace_back(begin, begin + slot.count * bucket.element_bytes);
      }
    }
    EXPECT_THAT(seen, testing::Each(1));
    std::sort(ranges.begin(), ranges.end());
    for (std::size_t i = 1; i < ranges.size(); ++i) EXPECT_LE(ranges[i - 1].second, ranges[i].first);
    EXPECT_LE(ranges.back().second, layout.bytes);
  }
}

TEST(NodeLayout, SlicesTileABucketAndItsParameters) {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    const auto parameters = random_parameters(seed);
    const NodeLayout layout = make_node_layout(parameters, 8000);
    for (const int ranks : {1, 2, 3, 7}) {
      for (const NodeBucket& bucket : layout.buckets) {
        std::int64_t end = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          const Slice slice = slice_of(bucket, rank, ranks);
          EXPECT_EQ(slice.begin, end);
          EXPECT_EQ(slice.begin % kSliceGrain, 0);
          EXPECT_LE(slice.size(), bucket.elements / ranks + kSliceGrain) << "shared out evenly";
          end = slice.end;
        }
        EXPECT_EQ(end, bucket.elements);
      }
      for (const NodeSlot& slot : layout.slots) {
        std::int64_t end = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          const Slice part = slice_within(slice_of(layout.buckets[slot.bucket], rank, ranks), slot);
          if (part.size() == 0) continue;
          EXPECT_EQ(part.begin, end);
          end = part.end;
        }
        EXPECT_EQ(end, slot.count);
      }
    }
  }
}

TEST(NodeLayout, BucketsComeInTheOrderInWhichBackwardCompletesThem) {
  // Small float32 parameters between large bfloat16 ones, as batch norms between convolutions.
  const std::vector<NodeParameter> parameters{{1000, 2}, {8, 4}, {1000, 2}, {8, 4}, {1000, 2}, {8, 4}};
  const NodeLayout layout = make_node_layout(parameters, 2500);
  ASSERT_EQ(layout.buckets.size(), 4);
  EXPECT_THAT(layout.buckets[0].parameters, testing::ElementsAre(4));
  EXPECT_THAT(layout.buckets[1].parameters, testing::ElementsAre(2));
  EXPECT_THAT(layout.buckets[2].parameters, testing::ElementsAre(5, 3, 1)) << "complete with parameter 1";
  EXPECT_THAT(layout.buckets[3].parameters, testing::ElementsAre(0));
}

TEST(NodeLayout, HashTellsOneFromAnother) {
  const std::vector<NodeParameter> parameters{{1000, 4}, {10, 4}};
  const std::string hash = make_node_layout(parameters, 100'000).hash;
  EXPECT_EQ(make_node_layout(parameters, 100'000).hash, hash);
  EXPECT_NE(make_node_layout(parameters, 100).hash, hash);
  EXPECT_NE(make_node_layout(std::vector<NodeParameter>{{1000, 2}, {10, 4}}, 100'000).hash, hash);
  EXPECT_NE(make_node_layout(std::vector<NodeParameter>{{1001, 4}, {10, 4}}, 100'000).hash, hash);
}

}  // namespace
}  // namespace regatta
