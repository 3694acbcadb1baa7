#include "worker/lane_layout.hpp"

#include <gmock/gmock.h>

#include <set>
#include <tuple>

namespace regatta {
namespace {

using testing::ElementsAre;

NodeBucket bucket_of(std::int64_t elements) {
  return {.element_bytes = 4, .elements = elements};
}

TEST(LaneLayout, WithEqualNodesALaneIsASlice) {
  const NodeBucket bucket = bucket_of(64 * kSliceGrain);
  const RanksByNode ranks{{0, 2}, {1, 3}};  // that do not follow each other
  for (int local = 0; local < 2; ++local) {
    const auto lanes = lanes_of(bucket, ranks, 1, local);
    ASSERT_EQ(lanes.size(), 1U);
    EXPECT_EQ(lanes[0].elements, slice_of(bucket, local, 2));
    EXPECT_THAT(lanes[0].peers, ElementsAre(2 * local, 2 * local + 1));
  }
}

TEST(LaneLayout, ALonelyRankTakesPartInAllLanes) {
  const NodeBucket bucket = bucket_of(64 * kSliceGrain);
  const RanksByNode ranks{{0, 1}, {2}, {3}};
  const auto lanes = lanes_of(bucket, ranks, 1, 0);
  ASSERT_EQ(lanes.size(), 2U);
  EXPECT_THAT(lanes[0].peers, ElementsAre(0, 2, 3));
  EXPECT_THAT(lanes[1].peers, ElementsAre(1, 2, 3));
}

// Whatever the nodes: lanes of a rank tile its slice, its peers know the same lanes, and parts tile each.
TEST(LaneLayout, AllRanksKnowTheSameLanes) {
  for (const std::vector<int>& counts : {std::vector<int>{2, 1, 1, 1}, {3, 2}, {4, 4, 4}, {1, 5, 2}, {7, 3, 1}})
    for (const std::int64_t grains : {1, 2, 3, 17, 1000}) {
      RanksByNode ranks;
      int next = 0;
      for (const int count : counts) {
        ranks.emplace_back();
        for (int r = 0; r < count; ++r) ranks.back().push_back(next++);
      }
      const NodeBucket bucket = bucket_of(grains * kSliceGrain);
      std::set<std::tuple<int, std::int64_t, std::int64_t, std::vector<int>>> of_first;
      for (std::size_t node = 0; node < ranks.size(); ++node) {
        std::set<std::tuple<int, std::int64_t, std::int64_t, std::vector<int>>> found;
        std::int64_t covered = 0;
        for (int local = 0; local < counts[node]; ++local) {
          const Slice own = slice_of(bucket, local, counts[node]);
          for (const Lane& lane : lanes_of(bucket, ranks, node, local)) {
            EXPECT_EQ(lane.elements.begin, covered);
            EXPECT_LE(lane.elements.end, own.end);
            EXPECT_GT(lane.elements.size(), 0);
            EXPECT_EQ(lane.peers[node], ranks[node][static_cast<std::size_t>(local)]);
            covered = lane.elements.end;
            found.insert({lane.number, lane.elements.begin, lane.elements.end, lane.peers});
            std::int64_t part_end = lane.elements.begin;
            for (std::size_t n = 0; n < ranks.size(); ++n) {
              EXPECT_EQ(part_of(lane.elements, n, ranks.size()).begin, part_end);
              part_end = part_of(lane.elements, n, ranks.size()).end;
            }
            EXPECT_EQ(part_end, lane.elements.end);
          }
          EXPECT_EQ(covered, own.end);
        }
        if (node == 0) of_first = found;
        EXPECT_EQ(found, of_first);
      }
    }
}

}  // namespace
}  // namespace regatta
