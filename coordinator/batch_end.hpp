#pragma once
// A batch job as events: the same whether its coordinator saw it end or the next command found it ended.

#include <string>

#include "cluster/launcher.hpp"
#include "coordinator/event.hpp"
#include "coordinator/state.hpp"

namespace regatta {

/// A `job` event: what the batch system says of the attempt now.
Event job_event(const RunId& run, int attempt, const Allocation& seen, Timestamp at);

/// What was recorded of its job, to go on from.
Allocation known_allocation(const JobState& job);

/// The attempt's `exit` event, or `lost`, with its times by the batch system (attempt_times.hpp). `attempt` has all of
/// its journal and its last `job`. Reads logs and result.json for the message.
/// `killed_because`: why this program ended it; empty: it did not.
Event batch_end_event(const RunState& run, const AttemptState& attempt, const ExitStatus& status,
                      const std::string& killed_because, bool asked_to_stop, Timestamp at);

/// From now on a job of this attempt ends as soon as it starts. Throws IoError.
void give_up(const std::string& run_dir, int attempt);

}  // namespace regatta
