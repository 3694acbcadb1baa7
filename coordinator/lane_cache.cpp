#include "coordinator/lane_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "common/error.hpp"

namespace regatta {

Json lane_key(const Plan& plan, const PoolSpec& pool, const std::string& without) {
  const std::vector<int> ranks = ranks_by_node(plan.placement);
  const bool chosen =
      plan.placement.backend == Backend::kMpi && std::cmp_greater_equal(ranks.size(), kNodesWithAChoice);
  if (!chosen || pool.launcher != LauncherKind::kSsh || pool.hosts.size() < ranks.size()) return nullptr;
  Json hosts = Json::array();
  for (std::size_t node = 0; node < ranks.size(); ++node) hosts.push_back({pool.hosts[node], ranks[node]});
  return {{"hosts", hosts},  // in order, each with its ranks: what a rank owns depends on them
          {"network", pool.found.ranks_network.empty() ? pool.interface : pool.found.ranks_network},
          {"wire", to_text(plan.training.train.exchange.wire)},
          {"regatta", REGATTA_VERSION},
          {"without", without}};
}

std::optional<LaneChoice> LaneCache::find(const Json& key) const {
  if (key.is_null()) return {};
  try {
    const Json kept = files_.find(key);
    if (!kept.is_null()) return lane_choice_from_json(kept);
  } catch (const IoError&) {
  }
  return {};
}

void LaneCache::keep(const Json& key, const LaneChoice& choice) const {
  files_.keep(key, to_json(choice));
}

namespace {

/// Nothing for what is not as this version writes it.
std::optional<LaneChoice> choice_of(const record::Start& start) {
  if (start.lanes.is_null()) return {};
  try {
    return lane_choice_from_json(start.lanes);
  } catch (const IoError&) {
    return {};
  }
}

}  // namespace

std::optional<LaneChoice> measured_lanes(const RunState& run) {
  if (run.attempts.empty() || !run.attempts[0].start) return {};
  const auto choice = choice_of(*run.attempts[0].start);
  return choice && choice->measured_by == run.id ? choice : std::nullopt;
}

std::string lane_words(const RunState& run, const record::Start& start) {
  const auto choice = choice_of(start);
  if (!choice) return "";
  if (choice->measured_by.empty() && choice->swap_bytes == 0) return "";  // two nodes, which have no choice
  const std::string way = choice->swap_bytes == 0
                              ? "each adds up a part"
                              : fmt::format("up to {} bytes all swap, above each adds up a part", choice->swap_bytes);
  if (choice->measured_by.empty()) return way + "; as the plan was written";
  if (choice->measured_by == run.id) return way + "; measured at the start";
  return fmt::format("{}; taken from run {}, which measured it", way, choice->measured_by.value);
}

}  // namespace regatta
