#include "cluster/launcher.hpp"
#include "cluster/slurm_job.hpp"
#include "cluster/spawn.hpp"
#include "common/error.hpp"

namespace regatta {

std::vector<std::string> launch_command(const PoolSpec& pool, const LaunchRequest& request) {
  switch (pool.launcher) {
    case LauncherKind::kLocal:
      return local_command(request);
    case LauncherKind::kSsh:
      return ssh_command(pool, request);
    case LauncherKind::kSlurm:
      return slurm_command(request);
  }
  ensure_failed("a launcher of this version", __FILE__, __LINE__, to_text(pool.launcher));
}

std::unique_ptr<Launch> launch(const PoolSpec& pool, const LaunchRequest& request, const std::filesystem::path& log) {
  if (pool.launcher == LauncherKind::kSlurm && !inside_slurm_allocation())
    return SlurmJob::submit(request.job_name, request.plan.parent_path() / kBatchScript);
  if (pool.launcher == LauncherKind::kSlurm)
    return std::make_unique<LocalProcess>(launch_command(pool, request),
                                          slurm_step_environment(pool, request, inherited_environment()), log);
  if (pool.launcher == LauncherKind::kSsh) write_host_file(pool, request);
  return std::make_unique<LocalProcess>(launch_command(pool, request), log);
}

}  // namespace regatta
