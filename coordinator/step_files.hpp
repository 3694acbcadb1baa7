#pragma once
// The steps that a run's ranks kept (common/step_laps.hpp), for `show --steps` and `show --trace`.

#include <vector>

#include "common/step_laps.hpp"
#include "coordinator/state.hpp"

namespace regatta {

/// Of the run's last attempt: one file a rank, by rank, each of this run and attempt. Throws Error (exit code 1) where
/// there are none, saying why and what to do; IoError naming the file for one that is damaged or belongs elsewhere.
std::vector<RankSteps> read_steps(const RunState& run);

}  // namespace regatta
