#pragma once
// The laps of some steps, one by one: steps 11 to 30, which come after what is done once (pages that are touched first,
// kernels that are chosen), and the last 20, which show what has changed since. Enough for a median and its neighbours,
// few enough for a file of some hundred kilobytes, and always there, so that a run that has ended can still be asked.

#include <array>
#include <cstdint>
#include <vector>

#include "common/step_laps.hpp"

namespace regatta {

/// What the trainer thread does, and for which bucket; -1: for none.
struct Doing {
  Activity activity = Activity::kOther;
  int bucket = -1;
};

/// Remembers a mark of 16 bytes for each change of activity, in memory that is there from the start: a step allocates
/// nothing, asks the kernel for nothing and reads no clock for it. A mark costs 3 ns; a step of the mlp has about 30.
/// Trainer thread only.
class StepTrace {
 public:
  static constexpr std::int64_t kFirst = 11, kSteps = 20;  ///< recorded: kSteps from kFirst on, and the last kSteps
  static constexpr std::size_t kMarks = 1 << 14;  ///< for each of both, 819 a step; of longer steps fewer are kept

  StepTrace();
  /// Times never go back from one call to the next.
  void enter(Doing doing, SteadyTime now) {
    doing_ = doing;
    if (reel_ != nullptr) mark(now);
  }
  void begin_step(std::int64_t step, SteadyTime now);
  void end_step(SteadyTime now);
  /// No more marks: what lies after the last step ends here.
  void finish(SteadyTime now);
  /// In order; after `finish`.
  std::vector<StepLaps> steps() const;

 private:
  struct Mark {
    SteadyTime at;
    std::int32_t bucket = -1;
    Activity activity = Activity::kOther;
  };
  static_assert(sizeof(Mark) == 16);
  /// Marks count from 0 since the start of the run; the last kMarks of them are there.
  struct Step {
    std::int64_t number = 0;
    std::uint64_t begin = 0, end = 0, last = 0;  ///< [begin, end] are its laps, [end, last] what came after
  };
  struct Reel {
    std::vector<Mark> marks;
    std::array<Step, kSteps> steps;
    std::uint64_t next_mark = 0, next_step = 0;
    const Mark& mark(std::uint64_t number) const { return marks[number % kMarks]; }
    Step& running() { return steps[(next_step - 1) % kSteps]; }
    std::vector<ActivityLap> laps(std::uint64_t begin, std::uint64_t end) const;
  };
  void mark(SteadyTime now) {
    reel_->marks[reel_->next_mark++ % kMarks] = {now, doing_.bucket, doing_.activity};
    if (reel_->next_mark == full_at_) stop();
  }
  void stop();
  void add_steps(const Reel& reel, std::int64_t first, std::vector<StepLaps>& steps) const;

  Reel early_, late_;
  Reel* reel_ = nullptr;  // null: nothing is kept now
  Doing doing_;
  std::int64_t last_step_ = 0;
  std::uint64_t full_at_ = 0;  // marks; 0: not until the step ends
};

}  // namespace regatta
