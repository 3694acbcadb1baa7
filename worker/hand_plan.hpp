#pragma once
// The plan of a worker that is started by hand: rank 0 makes it with the coordinator's own functions (jobs/plan.hpp).

#include <string>
#include <vector>

#include "jobs/plan.hpp"
#include "worker/worker.hpp"

namespace regatta {

/// Where a rank stands before anything is planned.
struct RankSite {
  std::string host;
  std::vector<int> cores;  ///< it may run on: the launcher's binding, or all of the host
};
RankSite this_site();
std::string encode_site(const RankSite& site);
RankSite decode_site(const std::string& text);

/// Keeps the launcher's binding when it gave the ranks of each host cores of their own; otherwise deals the cores out,
/// under a launcher, on one host. A process without a launcher is not pinned: its neighbour would get the same core.
/// `sites` by rank. Pure.
Placement place_by_hand(const JobSpec& job, const ConfigurationSpec& configuration, const std::vector<RankSite>& sites,
                        bool launched);

/// Reads the job, chooses the configuration, indexes the data. Nothing is written.
/// Throws ConfigError (with every finding) or DataError.
Plan plan_by_hand(const WorkerOptions& options, const std::vector<RankSite>& sites, bool launched);

}  // namespace regatta
