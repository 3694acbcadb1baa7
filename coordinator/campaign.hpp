#pragma once
// One comparison from its first event to its last run: every configuration and repeat, whatever happens to one of them.

#include <string>
#include <vector>

#include "coordinator/preparation.hpp"
#include "coordinator/slots.hpp"
#include "coordinator/supervisor.hpp"

namespace regatta {

struct CampaignResult {
  std::vector<RunState> runs;  ///< as planned: by the job file's order, then by repeat
  bool interrupted = false;
};

/// Records the comparison and all its runs with their owner in one transaction, then runs them one after the other.
/// One that this machine cannot do is recorded as refused. A run that fails is recorded and said, and the next one goes
/// on; one that a guest disturbed is recorded as contended (`slots` is null where no pool is this machine). After an
/// interrupt the rest is recorded as cancelled.
CampaignResult run_campaign(const Preparation& preparation, const std::vector<std::string>& argv,
                            const std::filesystem::path& home, SupervisorParts parts, const SlotLock* slots);

}  // namespace regatta
