// The launcher `slurm`: a batch job of its own; within an allocation (salloc, or a batch script that calls `regatta
// run`) a step of it, whose ranks end with this process as local ones do.
#include <unistd.h>

#include <cstdlib>

#include "cluster/launcher.hpp"
#include "cluster/slurm_script.hpp"

namespace regatta {

bool inside_slurm_allocation() {
  const char* job = std::getenv("SLURM_JOB_ID");
  return job != nullptr && *job != '\0';
}

std::vector<std::string> slurm_step_environment(const PoolSpec& pool, const LaunchRequest& request,
                                                std::vector<std::string> inherited) {
  for (const auto& [name, value] : rank_variables(pool, request)) {
    std::erase_if(inherited, [&](const std::string& entry) { return entry.starts_with(name + "="); });
    inherited.push_back(name + "=" + value);
  }
  return inherited;
}

std::vector<std::string> slurm_command(const LaunchRequest& request) {
  if (inside_slurm_allocation()) return srun_command(request);
  return {"sbatch", "--parsable", (request.plan.parent_path() / kBatchScript).string()};
}

}  // namespace regatta
