#include "coordinator/attempt_times.hpp"

#include <algorithm>

namespace regatta {

namespace {

/// Clocks of several hosts may disagree.
double positive(Duration time) {
  return std::max(seconds(time), 0.0);
}

}  // namespace

AttemptTimes batch_times(const AttemptState& attempt) {
  AttemptTimes times;
  if (!attempt.job) return times;
  const JobState& job = *attempt.job;
  if (job.submitted_at && (job.held_from || job.held_to))
    times.queue_s = positive(job.held_from.value_or(*job.held_to) - *job.submitted_at);
  // Nobody may have seen it begin; its ranks did.
  std::optional<Timestamp> from = job.held_from;
  std::optional<Timestamp> ranks_from;
  if (attempt.started_at && attempt.start)
    ranks_from =
        *attempt.started_at - std::chrono::duration_cast<Timestamp::duration>(from_seconds(attempt.start->startup_s));
  if (!from) from = ranks_from;
  if (!from) return times;
  const Timestamp last = std::max(*from, attempt.last_line_at.value_or(*from));
  const Timestamp to = std::max(*from, job.held_to.value_or(last));
  times.held_s = seconds(to - *from);
  if (!ranks_from) return times;
  times.startup_s = std::clamp(attempt.start->startup_s, 0.0, times.held_s);
  times.hold_s = positive(*ranks_from - *from);
  if (attempt.stop) *times.hold_s += positive(to - last);
  // Slurm counts whole seconds: what it leaves out was not idle time, but none of the training either.
  double trained_s = *times.startup_s;
  for (const auto& epoch : attempt.epochs) trained_s += epoch.wall_s;
  times.hold_s = std::clamp(times.held_s - trained_s, 0.0, *times.hold_s);
  return times;
}

void add_times(Json& body, const AttemptTimes& times) {
  body["held_s"] = times.held_s;
  body["startup_s"] = value_or_null(times.startup_s);
  body["hold_s"] = value_or_null(times.hold_s);
  body["queue_s"] = value_or_null(times.queue_s);
}

}  // namespace regatta
