#pragma once
// One trial: the real worker on a scratch plan, followed to its end. Nothing of it is recorded.

#include <filesystem>
#include <string>
#include <vector>

#include "cluster/spec.hpp"
#include "coordinator/reactor.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// What a trial showed. Both lists are by step and empty where it did not come so far.
struct TrialOutcome {
  std::vector<double> losses, step_s;
  std::string failure;  ///< empty: it ended as a trial does
  bool interrupted = false;
};

/// Launches `plan`, which has `trial`, on `pool` in `folder`, which is removed afterwards. The ranks are gone when it
/// returns, also after an interrupt, which ends them at once. What goes wrong with them is returned; throws IoError for
/// a folder that cannot be written. Main thread only.
TrialOutcome run_trial(const Plan& plan, const PoolSpec& pool, const std::filesystem::path& folder,
                       const std::filesystem::path& worker, Reactor& reactor);

}  // namespace regatta
