#pragma once
// One clock partitions the trainer thread's time line: whoever calls `enter` ends the running lap and starts the next,
// so the seconds of all phases sum to the wall and no bucket is a remainder. A step trace, where there is one, keeps
// the laps of some steps one by one, from the same readings.

#include <chrono>
#include <utility>

#include "common/records.hpp"
#include "common/time.hpp"
#include "worker/step_trace.hpp"

namespace regatta {

/// The phase that an activity's seconds count to.
constexpr Phase phase_of(Activity activity) {
  switch (activity) {
    case Activity::kData:
      return Phase::kDataWait;
    case Activity::kForward:
    case Activity::kBackward:
      return Phase::kCompute;
    case Activity::kPublish:
    case Activity::kWait:
    case Activity::kReduce:
    case Activity::kMeet:
    case Activity::kSum:
      return Phase::kExchange;
    case Activity::kApply:
      return Phase::kOptimizer;
    case Activity::kEvaluate:
      return Phase::kEvaluation;
    case Activity::kBarrier:
      return Phase::kStragglerWait;
    case Activity::kOther:
      break;
  }
  return Phase::kOther;
}

/// One a rank, used on the trainer thread only.
class LapClock {
 public:
  /// `trace` may be null; it outlives this.
  explicit LapClock(StepTrace* trace = nullptr) : trace_(trace), since_(std::chrono::steady_clock::now()) {}

  /// Time from now on belongs to `doing`; returns what was running.
  Doing enter(Doing doing) {
    const SteadyTime now = std::chrono::steady_clock::now();
    laps_[phase_of(doing_.activity)] += seconds(now - since_);
    since_ = now;
    if (trace_ != nullptr) trace_->enter(doing, now);
    return std::exchange(doing_, doing);
  }
  Activity activity() const { return doing_.activity; }
  /// Seconds of a phase since the last `take`, without the running lap.
  double so_far(Phase phase) const { return laps_[phase]; }
  /// Seconds by phase since the last `take`, the running lap included.
  PhaseSeconds up_to_now() {
    enter(doing_);
    return laps_;
  }
  /// Likewise; starts anew.
  PhaseSeconds take() {
    enter(doing_);
    return std::exchange(laps_, PhaseSeconds{});
  }

  /// Borders of a step, read from the clock by the caller after the last `enter`.
  void begin_step(std::int64_t step, SteadyTime now) {
    if (trace_ != nullptr) trace_->begin_step(step, now);
  }
  void end_step(SteadyTime now) {
    if (trace_ != nullptr) trace_->end_step(now);
  }

 private:
  StepTrace* trace_;
  SteadyTime since_;
  Doing doing_;
  PhaseSeconds laps_;
};

/// Enters an activity for a scope, then goes back to the one before.
class Lap {
 public:
  Lap(LapClock& clock, Activity activity, int bucket = -1) : clock_(clock), before_(clock.enter({activity, bucket})) {}
  ~Lap() { clock_.enter(before_); }
  Lap(const Lap&) = delete;
  Lap& operator=(const Lap&) = delete;

 private:
  LapClock& clock_;
  Doing before_;
};

}  // namespace regatta
