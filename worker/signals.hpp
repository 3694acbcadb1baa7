#pragma once
// The world outside a worker: signals that ask it to stop, a launcher that may die, the time it was born.

#include <atomic>
#include <cstddef>
#include <vector>

#include "common/time.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// While it lives, USR1 and TERM set `requested` and do nothing else; a second one changes nothing. One a process, made
/// on the trainer's thread, to which the kernel brings them: their handler runs on a stack of its own, because oneDNN's
/// fp32 LSTM keeps data below its stack pointer, where a signal's frame would lie (seen: 12 of 14 workers died of it).
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  const std::atomic<bool>& requested() const;

 private:
  std::vector<std::byte> stack_;
};

/// Under Open MPI the parent is mpirun or its daemon: when that is killed, the kernel ends this process too, so that no
/// stray rank stays. A worker started from a shell outlives it, as nohup's users expect. Throws LaunchError when
/// the parent died meanwhile.
void die_with_launcher(const LauncherVariables& variables);

/// When this process was started, as the kernel noted it (to 10 ms); on steady_clock.
SteadyTime process_start();

}  // namespace regatta
