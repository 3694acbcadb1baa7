// Of the ranks in the order of their waits, those below the widest gap were late and those above it waited. A gap tells
// more than a threshold does: ranks of one slow host wait for each other a little, and all the others for them.

#include "worker/stragglers.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace regatta {

namespace {

constexpr double kWorthNaming = 0.05;  // of the epoch; repeats of a run differ by 1 to 4 %
constexpr double kLeastWait = 0.1;     // seconds; an epoch of a second has so much by chance on a busy machine

double waited(const RankEpoch* row) {
  return row->seconds[Phase::kStragglerWait];
}

double mean_wait(std::span<const RankEpoch* const> rows) {
  double sum = 0;
  for (const RankEpoch* row : rows) sum += waited(row);
  return sum / static_cast<double>(rows.size());
}

}  // namespace

std::optional<record::Stragglers> find_stragglers(std::span<const RankEpoch> rows, double wall_s,
                                                  const std::optional<Price>& price, const Holding& holding) {
  std::vector<const RankEpoch*> sorted;
  for (const RankEpoch& row : rows) sorted.push_back(&row);
  std::stable_sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return waited(a) < waited(b); });
  std::size_t late = 0;
  double widest = 0;
  for (std::size_t count = 1; count <= sorted.size() / 2; ++count)
    if (const double gap = waited(sorted[count]) - waited(sorted[count - 1]); gap > widest) {
      widest = gap;
      late = count;
    }
  if (widest < std::max(kWorthNaming * wall_s, kLeastWait)) return {};
  std::sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(late),
            [](auto* a, auto* b) { return a->rank < b->rank; });
  const std::span<const RankEpoch* const> all(sorted);
  record::Stragglers found;
  for (const RankEpoch* row : all.first(late)) {
    found.ranks.push_back(row->rank);
    if (std::find(found.hosts.begin(), found.hosts.end(), row->host) == found.hosts.end())
      found.hosts.push_back(row->host);
  }
  const auto others = all.subspan(late);
  found.waited_s = mean_wait(others);
  const double held_s = found.waited_s * static_cast<double>(others.size()) / static_cast<double>(all.size());
  if (price) found.cost = holding_cost(*price, holding, from_seconds(held_s));
  return found;
}

}  // namespace regatta
