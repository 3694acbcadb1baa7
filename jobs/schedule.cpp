#include "jobs/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/error.hpp"

namespace regatta {

namespace {

/// Half a cosine from `from` (fraction 0) to `to` (fraction 1).
double anneal(double from, double to, double fraction) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * fraction));
}

double by_epochs(const ScheduleSpec& schedule, double lr, std::int64_t step, const TrainingLength& length) {
  const std::int64_t epoch = step / length.steps_per_epoch;
  return lr * std::pow(schedule.gamma.value_or(1), static_cast<double>(epoch / schedule.step_epochs.value_or(1)));
}

double cosine(const ScheduleSpec& schedule, double lr, std::int64_t step, std::int64_t steps) {
  const std::int64_t warmup = std::min(schedule.warmup_steps, steps);
  if (steps == warmup) return lr;
  const double done = static_cast<double>(step - warmup) / static_cast<double>(steps - warmup);
  return anneal(lr, schedule.min_lr.value_or(0), std::clamp(done, 0.0, 1.0));
}

constexpr double kOneCycleRise = 0.3;      // of the steps, as torch's pct_start
constexpr double kOneCycleFinalDiv = 1e4;  // below the first rate, as torch's final_div_factor

double one_cycle(const ScheduleSpec& schedule, double lr, std::int64_t step, std::int64_t steps) {
  const double all = static_cast<double>(steps), now = static_cast<double>(std::min(step, steps - 1));
  const double rise =
      schedule.warmup_steps > 0 ? static_cast<double>(std::min(schedule.warmup_steps, steps)) : kOneCycleRise * all;
  const double top = rise - 1, end = all - 1, peak = schedule.max_lr.value_or(lr);
  if (now <= top) return top > 0 ? anneal(lr, peak, now / top) : peak;
  return anneal(peak, lr / kOneCycleFinalDiv, end > top ? (now - top) / (end - top) : 1);
}

}  // namespace

double learning_rate(const ScheduleSpec& schedule, double lr, std::int64_t step, const TrainingLength& length) {
  REGATTA_ENSURE(step >= 0 && length.steps_per_epoch > 0, "a step of an epoch that has steps");
  const bool needs_end = schedule.kind == ScheduleKind::kCosine || schedule.kind == ScheduleKind::kOneCycle;
  REGATTA_ENSURE(!needs_end || length.epochs, "a schedule with an end knows where");
  const std::int64_t steps = length.epochs.value_or(0) * length.steps_per_epoch;
  if (schedule.kind == ScheduleKind::kOneCycle) return one_cycle(schedule, lr, step, steps);

  double rate = lr;
  if (schedule.kind == ScheduleKind::kStep) rate = by_epochs(schedule, lr, step, length);
  if (schedule.kind == ScheduleKind::kCosine) rate = cosine(schedule, lr, step, steps);
  if (step >= schedule.warmup_steps) return rate;
  return rate * static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps);
}

}  // namespace regatta
