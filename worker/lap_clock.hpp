#pragma once
// One clock partitions the trainer thread's time line: whoever calls `enter` ends the running lap and starts the next,
// so the seconds of all phases sum to the wall and no bucket is a remainder.

#include <chrono>
#include <utility>

#include "common/records.hpp"
#include "common/time.hpp"

namespace regatta {

/// One a rank, used on the trainer thread only.
class LapClock {
 public:
  LapClock() : since_(std::chrono::steady_clock::now()) {}

  /// Time from now on belongs to `phase`; returns the phase that was running.
  Phase enter(Phase phase) {
    const SteadyTime now = std::chrono::steady_clock::now();
    laps_[phase_] += seconds(now - since_);
    since_ = now;
    return std::exchange(phase_, phase);
  }
  Phase phase() const { return phase_; }
  /// Seconds by phase since the last `take`, the running lap included; starts anew.
  PhaseSeconds take() {
    enter(phase_);
    return std::exchange(laps_, PhaseSeconds{});
  }

 private:
  SteadyTime since_;
  Phase phase_ = Phase::kOther;
  PhaseSeconds laps_;
};

/// Enters a phase for a scope, then goes back to the one before.
class Lap {
 public:
  Lap(LapClock& clock, Phase phase) : clock_(clock), before_(clock.enter(phase)) {}
  ~Lap() { clock_.enter(before_); }
  Lap(const Lap&) = delete;
  Lap& operator=(const Lap&) = delete;

 private:
  LapClock& clock_;
  Phase before_;
};

}  // namespace regatta
