#pragma once
// The world outside a worker: signals that ask it to stop, a launcher that may die, the time it was born.

#include <atomic>

#include "common/time.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// While it lives, USR1 and TERM set `requested` and do nothing else; a second one changes nothing. One a process.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  const std::atomic<bool>& requested() const;
};

/// Under Open MPI the parent is mpirun or its daemon: when that is killed, the kernel ends this process too, so that no
/// stray rank stays. A worker started from a shell outlives it, as nohup's users expect. Throws LaunchError when
/// the parent died meanwhile.
void die_with_launcher(const LauncherVariables& variables);

/// When this process was started, as the kernel noted it (to 10 ms); on steady_clock.
SteadyTime process_start();

}  // namespace regatta
