#include "worker/measure_lanes.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "common/time.hpp"
#include "worker/lanes.hpp"
#include "worker/rank_context.hpp"

namespace regatta {
namespace {

using std::chrono::steady_clock;

constexpr std::int64_t kMeasuredBytes[] = {4'096, 16'384, 65'536,
                                           262'144};  // bytes; above, fewer bytes win on any network
constexpr int kMostRounds = 6;                        // the first one opens connections
constexpr double kEnoughS = 0.5;

struct MeasuredWay {
  std::unique_ptr<Lanes> lanes;
  std::vector<std::vector<double>> seconds;  // by size: a round each, of the slowest rank
};

/// One bucket of each size.
NodeLayout layout_of_sizes() {
  std::vector<NodeParameter> parameters;
  for (const std::int64_t bytes : kMeasuredBytes) parameters.insert(parameters.begin(), {bytes / 4, 4});
  return make_node_layout(parameters, /*bucket_bytes=*/1);
}

void round_of(MeasuredWay& way, const NodeLayout& layout, RankContext& ranks, Watchdog& watchdog) {
  const WatchedWait wait(watchdog, "measurement between nodes");
  const std::vector<float> zeros(static_cast<std::size_t>(layout.buckets.back().elements));
  const auto* const gradient = reinterpret_cast<const std::byte*>(zeros.data());
  std::vector<double> took;
  way.lanes->expect_sums();
  for (std::size_t b = 0; b < layout.buckets.size(); ++b) {
    const Slice own = slice_of(layout.buckets[b], ranks.local_rank(), ranks.local_size());
    std::array<double, 1> all_are_here{};
    way.lanes->allreduce(all_are_here);
    const auto start = steady_clock::now();
    way.lanes->put(b, own.begin, own.size(), {&gradient, 1}, Number::kFloat32);
    way.lanes->start(b);
    way.lanes->wait(b);
    took.push_back(seconds(steady_clock::now() - start));
  }
  way.lanes->finish();
  ranks.allreduce(took, Reduce::kMax);
  for (std::size_t b = 0; b < took.size(); ++b) way.seconds[b].push_back(took[b]);
}

double middle_of(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace

LaneChoice measure_lanes(RankContext& ranks, Watchdog& watchdog) {
  const NodeMap map = node_map(ranks);
  if (map.ranks.size() <= 2) return {};
  const NodeLayout layout = layout_of_sizes();
  std::array<MeasuredWay, 2> ways;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const std::int64_t swap_bytes = i == 0 ? std::numeric_limits<std::int64_t>::max() : 0;
    ways[i].lanes = make_lanes(layout, map, Number::kFloat32, {.choice = {swap_bytes}}, *slice_kernels().back(), ranks);
    ways[i].seconds.resize(layout.buckets.size());
  }
  const auto start = steady_clock::now();
  for (int round = 0; round < kMostRounds; ++round) {
    for (MeasuredWay& way : ways) round_of(way, layout, ranks, watchdog);
    std::array<double, 1> spent{seconds(steady_clock::now() - start)};
    ranks.allreduce(spent, Reduce::kMax);
    if (round == 0)
      for (MeasuredWay& way : ways) way.seconds.assign(layout.buckets.size(), {});
    else if (spent[0] > kEnoughS)
      break;
  }
  LaneChoice choice;
  for (std::size_t b = 0; b < layout.buckets.size(); ++b) {
    if (middle_of(ways[0].seconds[b]) > middle_of(ways[1].seconds[b])) break;
    choice.swap_bytes = kMeasuredBytes[b];
  }
  return choice;
}

}  // namespace regatta
