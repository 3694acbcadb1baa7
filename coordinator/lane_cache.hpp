#pragma once
// How a run found sums between its hosts to be fastest (jobs/lane_choice.hpp), kept in HOME/lanes: a run on the same
// hosts measures nothing, and adds up in the same order.

#include <filesystem>
#include <optional>
#include <string>

#include "cluster/spec.hpp"
#include "coordinator/measured_files.hpp"
#include "coordinator/state.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// What the choice depends on: the hosts with their ranks, the network between them, the wire, this version. Null where
/// nothing is chosen (on GPUs, or on fewer than three hosts), or nobody knows the hosts before (Slurm's). Pure.
/// `without`: REGATTA_WITHOUT.
Json lane_key(const Plan& plan, const PoolSpec& pool, const std::string& without);

class LaneCache {
 public:
  explicit LaneCache(const std::filesystem::path& home) : files_(home / "lanes", "lanes") {}
  /// Nothing for a key that is null, where nothing is kept, or where it is damaged: then it is measured, and kept,
  /// again.
  std::optional<LaneChoice> find(const Json& key) const;
  void keep(const Json& key, const LaneChoice& choice) const;  ///< throws IoError

 private:
  MeasuredFiles files_;
};

/// What this run measured, by its start line; nothing when another did, or nobody.
std::optional<LaneChoice> measured_lanes(const RunState& run);

/// For `show`: how sums were made, and whose measurement said so. Empty where there were none.
std::string lane_words(const RunState& run, const record::Start& start);

}  // namespace regatta
