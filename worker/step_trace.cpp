#include "worker/step_trace.hpp"

#include <algorithm>
#include <utility>

namespace regatta {

namespace {

constexpr std::uint64_t kMarksAfter = 64;  // an evaluation of an hour must not push the steps before it out

}  // namespace

StepTrace::StepTrace() {
  early_.marks.resize(kMarks);
  late_.marks.resize(kMarks);
}

void StepTrace::begin_step(std::int64_t step, SteadyTime now) {
  finish(now);
  last_step_ = step;
  reel_ = step >= kFirst && step < kFirst + kSteps ? &early_ : &late_;
  full_at_ = 0;
  reel_->steps[reel_->next_step++ % kSteps] = {.number = step, .begin = reel_->next_mark};
  mark(now);
}

void StepTrace::end_step(SteadyTime now) {
  reel_->running().end = reel_->next_mark;
  full_at_ = reel_->next_mark + kMarksAfter;
  mark(now);
}

void StepTrace::finish(SteadyTime now) {
  if (reel_ != nullptr) mark(now);
  if (reel_ != nullptr) stop();
}

void StepTrace::stop() {
  reel_->running().last = reel_->next_mark - 1;
  reel_ = nullptr;
}

std::vector<StepLaps> StepTrace::steps() const {
  std::vector<StepLaps> steps;
  add_steps(early_, kFirst, steps);
  add_steps(late_, last_step_ - kSteps + 1, steps);
  std::sort(steps.begin(), steps.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return steps;
}

void StepTrace::add_steps(const Reel& reel, std::int64_t first, std::vector<StepLaps>& steps) const {
  for (std::uint64_t i = reel.next_step - std::min<std::uint64_t>(reel.next_step, kSteps); i < reel.next_step; ++i) {
    const Step& step = reel.steps[i % kSteps];
    if (step.number < first || step.begin + kMarks < reel.next_mark) continue;
    steps.push_back({.step = step.number,
                     .begin = reel.mark(step.begin).at.time_since_epoch(),
                     .laps = reel.laps(step.begin, step.end),
                     .after = reel.laps(step.end, step.last)});
  }
}

std::vector<ActivityLap> StepTrace::Reel::laps(std::uint64_t begin, std::uint64_t end) const {
  std::vector<ActivityLap> laps;
  for (std::uint64_t i = begin; i < end; ++i) {
    const Duration time = mark(i + 1).at - mark(i).at;
    if (time == Duration{}) continue;
    if (!laps.empty() && laps.back().activity == mark(i).activity && laps.back().bucket == mark(i).bucket)
      laps.back().time += time;
    else
      laps.push_back({mark(i).activity, mark(i).bucket, time});
  }
  return laps;
}

}  // namespace regatta
