#pragma once
// The plan of a worker that is started by hand: rank 0 makes it with the coordinator's own functions (jobs/plan.hpp).

#include <optional>
#include <string>
#include <vector>

#include "jobs/plan.hpp"
#include "worker/worker.hpp"

namespace regatta {

/// Where a rank stands before anything is planned.
struct RankSite {
  std::string host;
  std::vector<int> cores;  ///< it may run on: the launcher's binding, or all of the host
  int host_cores = 1;      ///< all of the host's, whatever it is bound to: what is held, and billed
  int gpus = 0;            ///< that CUDA sees; 0 where nobody asked, because no configuration says nccl
};
RankSite this_site(int gpus = 0);
std::string encode_site(const RankSite& site);
RankSite decode_site(const std::string& text);

/// What is held: every host that has a rank, each with the cores of the largest. Where ranks run: the launcher's
/// binding stays when it gave the ranks of each host cores of their own; otherwise the cores are dealt out, under a
/// launcher, on one host. A process without a launcher is not pinned: its neighbour would get the same core. `sites` by
/// rank. Pure.
Placement place_by_hand(const JobSpec& job, const ConfigurationSpec& configuration, const std::vector<RankSite>& sites,
                        bool launched);

/// What a start by hand means, as far as its job file says.
struct HandJob {
  JobSpec job;
  ConfigurationSpec configuration;
  Placement placement;
};

/// Reads the job and chooses the configuration. Throws ConfigError with every finding.
HandJob read_by_hand(const WorkerOptions& options, const std::vector<RankSite>& sites, bool launched);

/// The backend of the configuration that `options` and the world size mean; nothing where that cannot be told yet.
/// Throws ConfigError or IoError for files that cannot be read.
std::optional<Backend> backend_of(const WorkerOptions& options, int world_size);

/// Indexes the data, which may take reading_allowance(bytes_to_index(data)). Nothing is written.
/// Throws ConfigError or DataError.
Plan plan_by_hand(const HandJob& read);

}  // namespace regatta
