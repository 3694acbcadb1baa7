#pragma once
// One attempt from its folder to its end event: launch, follow, stop or kill, record.

#include <filesystem>
#include <string>

#include "cluster/launcher.hpp"
#include "coordinator/ledger.hpp"
#include "coordinator/progress.hpp"
#include "coordinator/reactor.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// What a supervisor works with; the command owns it all.
struct SupervisorParts {
  Ledger& ledger;
  Reactor& reactor;
  ProgressDisplay& display;
  const Owner& owner;            ///< stands in the run's latest owner event
  std::filesystem::path worker;  ///< regatta-worker
};

/// What has to be in the ledger already: the run's `run` and `owner` events. What is true afterwards: the ranks are
/// gone, and the ledger has the launch, every journal line, the exit and the end. Main thread only. What goes wrong
/// with the ranks is recorded and returned, not thrown; IoError when ledger or run folder cannot be written (the ranks
/// are killed).
RunState supervise(const Plan& plan, const PoolSpec& pool, const std::filesystem::path& run_dir,
                   const std::string& job_text, SupervisorParts parts);

/// The run as the ledger tells it now.
RunState run_state(const Ledger& ledger, const RunId& run);

/// The same for a batch job that another coordinator launched and left behind: follows `run`'s attempt of `plan` to its
/// end. The owner stands in the run's latest owner event; nothing is launched (parts.worker is empty).
RunState follow_adopted(const Plan& plan, const RunState& run, SupervisorParts parts);

/// Makes the run's folder with what its ranks need, from now on launched: job.yaml, plan.json, launch.sh, and of a
/// Slurm pool the batch script. Throws IoError.
void write_launch_files(const Plan& plan, const PoolSpec& pool, const LaunchRequest& request,
                        const std::string& job_text);

/// What the launcher of an attempt is asked for.
LaunchRequest attempt_launch(const Plan& plan, const std::filesystem::path& run_dir,
                             const std::filesystem::path& worker);

}  // namespace regatta
