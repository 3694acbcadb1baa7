#include "worker/lane_layout.hpp"

#include <algorithm>
#include <set>

namespace regatta {
namespace {

/// The local rank in whose slice an element lies.
int owner_of(const NodeBucket& bucket, std::int64_t element, int ranks) {
  int rank = 0;
  while (slice_of(bucket, rank, ranks).end <= element) ++rank;
  return rank;
}

}  // namespace

std::vector<Lane> lanes_of(const NodeBucket& bucket, const RanksByNode& ranks, std::size_t node, int local_rank) {
  std::set<std::int64_t> cuts{0, bucket.elements};
  for (const auto& on_node : ranks)
    for (int r = 1; r < static_cast<int>(on_node.size()); ++r)
      cuts.insert(slice_of(bucket, r, static_cast<int>(on_node.size())).begin);
  const Slice own = slice_of(bucket, local_rank, static_cast<int>(ranks[node].size()));
  std::vector<Lane> lanes;
  int number = 0;
  for (auto cut = cuts.begin(); std::next(cut) != cuts.end(); ++cut, ++number) {
    if (*cut < own.begin || *cut >= own.end) continue;
    Lane lane{.number = number, .elements = {*cut, *std::next(cut)}};
    for (const auto& on_node : ranks)
      lane.peers.push_back(on_node[static_cast<std::size_t>(owner_of(bucket, *cut, static_cast<int>(on_node.size())))]);
    lanes.push_back(std::move(lane));
  }
  return lanes;
}

Slice part_of(const Slice& lane, std::size_t node, std::size_t nodes) {
  const auto grains = lane.size() / kSliceGrain, n = static_cast<std::int64_t>(node),
             of = static_cast<std::int64_t>(nodes);
  return {lane.begin + grains * n / of * kSliceGrain, lane.begin + grains * (n + 1) / of * kSliceGrain};
}

}  // namespace regatta
