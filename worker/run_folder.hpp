#pragma once
// The folders of one attempt, and what rank 0 puts there before training (DESIGN: identities, run directory, journal).

#include <filesystem>
#include <string>

#include "jobs/plan.hpp"
#include "worker/worker.hpp"

namespace regatta {

struct RunFolder {
  std::filesystem::path run;      ///< absolute
  std::filesystem::path attempt;  ///< run / "attempt-K"
};

/// --run-dir, else HOME/runs/RUN_ID with HOME from --home, $REGATTA_HOME or ~/.regatta. Touches nothing.
RunFolder run_folder(const WorkerOptions& options, const Plan& plan);

/// Throws ConfigError when the attempt has a journal: nothing is written over.
void refuse_used(const RunFolder& folder);

/// Makes the folders. For a worker started by hand also writes job.yaml (a copy), the plan and launch.sh, which
/// the coordinator otherwise wrote. Throws IoError.
void prepare_run_folder(const RunFolder& folder, const WorkerOptions& options, const Plan& plan);

}  // namespace regatta
