#pragma once
// How far one attempt is, from what it writes and says: feeds the progress line and the supervisor's deadlines.

#include <optional>

#include "cluster/bill.hpp"
#include "common/link.hpp"
#include "common/records.hpp"
#include "coordinator/progress.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// No clock of its own: every call says when it is.
class RunProgress {
 public:
  explicit RunProgress(const Plan& plan);

  void hear(const JournalLine& line, SteadyTime now);
  void hear(const Progress& progress);

  bool started() const { return started_.has_value(); }
  /// The slowest step seen, by the samples per second of a whole interval; nothing before the first.
  std::optional<Duration> step() const { return step_; }
  /// `held` is the time since launch, what is paid for.
  ProgressView view(SteadyTime now, Duration held) const;

 private:
  void hear_pace(double samples_per_s);
  /// Seconds from the launch that max_time, or the money of max_cost_usd, allows.
  std::optional<double> time_limit(const Holding& holding) const;

  const Plan& plan_;
  ProgressView view_;
  std::int64_t step_in_epoch_ = 0;
  std::optional<SteadyTime> started_;  ///< when the start line was heard
  std::optional<Duration> step_;
};

}  // namespace regatta
