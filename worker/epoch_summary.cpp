#include "worker/epoch_summary.hpp"

#include <algorithm>

#include "common/error.hpp"
#include "worker/host_energy.hpp"
#include "worker/spending.hpp"
#include "worker/stragglers.hpp"

namespace regatta {

PhaseSeconds split_waits(PhaseSeconds laps, std::span<const double> own, std::span<const double> least) {
  REGATTA_ENSURE(own.size() == least.size(), "every rank joins every collective");
  double straggler_s = 0;
  for (std::size_t i = 0; i < own.size(); ++i) straggler_s += own[i] - least[i];
  laps[Phase::kExchange] -= straggler_s;
  laps[Phase::kStragglerWait] += straggler_s;
  return laps;
}

PhaseSeconds within_wall(PhaseSeconds device, double wall_s) {
  if (const double sum = device.sum(); sum > wall_s)
    for (double& value : device.values) value *= wall_s / sum;
  device[Phase::kOther] += wall_s - device.sum();
  return device;
}

std::optional<record::StepTimes> step_times(std::vector<double> seconds) {
  if (seconds.empty()) return {};
  const auto at = [&](double quantile) {
    const auto place = seconds.begin() + static_cast<std::ptrdiff_t>(quantile * static_cast<double>(seconds.size()));
    std::nth_element(seconds.begin(), place, seconds.end());
    return *place;
  };
  return record::StepTimes{.median = at(0.5), .p99 = at(0.99)};
}

record::Epoch epoch_record(const Plan& plan, const EpochTotals& totals, const std::optional<TestFigures>& test,
                           std::span<const RankEpoch> rows, std::int64_t bytes_exchanged) {
  REGATTA_ENSURE(!rows.empty(), "rank 0 has a row of its own");
  record::Epoch line;
  line.epoch = totals.epoch;
  line.first_step = totals.first_step;
  line.last_step = totals.last_step;
  line.complete = totals.complete;
  line.samples = totals.samples;
  line.train_loss = totals.loss_sum / static_cast<double>(totals.samples);
  line.learning_rate = totals.learning_rate;
  line.bytes_exchanged = bytes_exchanged;
  line.step_s = step_times(totals.step_s);
  if (test) {
    line.test_loss = test->loss;
    line.test_accuracy = test->accuracy;
  }

  const double ranks = static_cast<double>(rows.size());
  for (const RankEpoch& row : rows) {
    line.device_memory_peak_bytes = std::max(line.device_memory_peak_bytes, row.device_memory_peak_bytes);
    line.wall_s += row.wall_s / ranks;
    line.exchange_hidden_s += row.exchange_hidden_s / ranks;
    for (std::size_t phase = 0; phase < kPhases; ++phase)
      line.seconds.values[phase] += row.seconds.values[phase] / ranks;
  }
  line.train_s = line.wall_s - line.seconds[Phase::kEvaluation] - line.seconds[Phase::kCheckpoint];
  line.samples_per_s = static_cast<double>(totals.samples) / line.train_s;
  if (const auto energy = epoch_energy(plan, rows, line.wall_s)) line.energy_j = to_json(*energy);
  if (plan.price) {
    line.cost = holding_cost(*plan.price, holding_of(plan.placement), from_seconds(line.wall_s));
  }
  line.stragglers = find_stragglers(rows, line.wall_s, plan.price, holding_of(plan.placement));
  return line;
}

}  // namespace regatta
