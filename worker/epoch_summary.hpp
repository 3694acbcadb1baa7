#pragma once
// From one epoch's laps and waits to its records. Pure functions; the trainer brings the numbers together.

#include <optional>
#include <span>
#include <vector>

#include "common/records.hpp"
#include "jobs/plan.hpp"
#include "worker/evaluation.hpp"
#include "worker/journal.hpp"

namespace regatta {

/// What the step loop adds up in one epoch.
struct EpochTotals {
  int epoch = 0;
  std::int64_t first_step = 0, last_step = 0;  ///< from 1, inclusive
  bool complete = true;
  std::int64_t samples = 0;      ///< over all ranks
  std::int64_t own_samples = 0;  ///< this rank's
  double loss_sum = 0;           ///< over all ranks
  double learning_rate = 0;      ///< of the last step
  std::vector<double> step_s;    ///< wall by step, this rank's
};

/// Of the steps' wall times; nothing without steps.
std::optional<record::StepTimes> step_times(std::vector<double> seconds);

/// The laps with exposed waits divided: of each collective's wait the minimum over ranks stays `exchange`, what this
/// rank waited longer than that was for a slower one. `own` and `least` have one entry a collective.
PhaseSeconds split_waits(PhaseSeconds laps, std::span<const double> own, std::span<const double> least);

/// A stretch of steps by the device's clock, in a row of `wall_s` seconds of the host: what the host has beyond them is
/// `other`, and where clocks disagree they are scaled down to it. Sums to `wall_s`.
PhaseSeconds within_wall(PhaseSeconds device, double wall_s);

/// The epoch's line. `rows` has one entry a rank, at least one: seconds, hidden ones too, and wall are their means, so
/// that the former still sum to the latter.
record::Epoch epoch_record(const Plan& plan, const EpochTotals& totals, const std::optional<TestFigures>& test,
                           std::span<const RankEpoch> rows, std::int64_t bytes_exchanged);

}  // namespace regatta
