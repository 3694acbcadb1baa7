#include "worker/wait_policy.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "common/files.hpp"
#include "jobs/spec_reader.hpp"

namespace regatta {

namespace {

/// A rank by hand does not know its configuration yet: any of the job's counts.
bool wants_threads(const WorkerOptions& options) {
  if (options.plan) return plan_from_json(parse_json(read_file(*options.plan), "plan")).placement.threads > 1;
  const JobSpec job = read_job_file(*options.job);
  return std::any_of(job.configurations.begin(), job.configurations.end(),
                     [](const ConfigurationSpec& configuration) { return configuration.threads > 1; });
}

}  // namespace

void limit_spinning(const WorkerOptions& options, char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  try {
    if (!wants_threads(options)) return;
  } catch (const std::exception&) {
    return;  // rank 0 reads it again, and says what is wrong
  }
  ::setenv("GOMP_SPINCOUNT", "5000", 1);
  ::execv("/proc/self/exe", argv);  // returns only where /proc is missing: then OpenMP waits as it likes
}

}  // namespace regatta
