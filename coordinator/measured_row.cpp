#include "coordinator/measured_row.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "cluster/spec.hpp"
#include "coordinator/run_bill.hpp"
#include "coordinator/share_words.hpp"
#include "coordinator/straggler_words.hpp"

namespace regatta {

namespace {

constexpr std::size_t kRepeatsForInterval = 3;

/// Over the repeats' means when there are three or more, else over all values.
Interval interval_of(const std::vector<std::vector<double>>& by_repeat) {
  std::vector<double> means, all;
  for (const auto& values : by_repeat) {
    if (values.empty()) continue;
    means.push_back(t_interval(values).mean);
    all.insert(all.end(), values.begin(), values.end());
  }
  return t_interval(means.size() >= kRepeatsForInterval ? means : all);
}

/// What a reader must know first about a row whose repeats ended differently.
int gravity(RunStatus status) {
  switch (status) {
    case RunStatus::kDone:
      return 0;
    case RunStatus::kWaiting:
      return 1;
    case RunStatus::kRunning:
      return 2;
    case RunStatus::kStopped:
      return 3;
    case RunStatus::kCancelled:
      return 4;
    case RunStatus::kLost:
      return 5;
    case RunStatus::kFailed:
      return 6;
    case RunStatus::kRefused:
      return 7;
  }
  return 7;
}

std::optional<Price> price_of(const RunState& run, const std::map<std::string, NanoUsd>& reprice) {
  const auto asked = reprice.find(run.pool);
  if (asked == reprice.end()) return run.price;
  Price price = run.price.value_or(Price{.billing = default_billing(run.pool)});
  price.usd_per_node_hour = asked->second;
  price.source = "--price";
  price.date.clear();
  price.kind = FigureKind::kMeasured;
  return price;
}

/// Adds the run's bill; false where it has cost something that nobody can say.
bool add_bill(const RunState& run, const std::optional<Price>& price, bool repriced, ComparisonRow& row) {
  std::optional<Bill> bill = run.bill;
  if (repriced || (!bill && run.attempts.empty() && price)) bill = run_bill(run, *price);
  if (!bill) return false;
  row.usd_total = row.usd_total.value_or(NanoUsd{}) + bill->total;
  if (row.usd_parts.empty()) {
    row.usd_parts = bill->parts;
    return true;
  }
  for (const auto& [name, amount] : bill->parts) {  // another version's bill may have other parts
    const auto known = std::find_if(row.usd_parts.begin(), row.usd_parts.end(),
                                    [&, &part = name](const auto& one) { return one.first == part; });
    if (known != row.usd_parts.end())
      known->second += amount;
    else
      row.usd_parts.emplace_back(name, amount);
  }
  return true;
}

int complete_epochs(const RunState& run) {
  std::set<int> numbers;
  for (const auto& attempt : run.attempts)
    for (const auto& epoch : attempt.epochs)
      if (epoch.complete) numbers.insert(epoch.epoch);
  return static_cast<int>(numbers.size());
}

std::optional<double> final_accuracy(const RunState& run) {
  std::optional<double> accuracy;
  for (const auto& attempt : run.attempts)
    for (const auto& epoch : attempt.epochs)
      if (epoch.test_accuracy) accuracy = epoch.test_accuracy;
  return accuracy;
}

std::optional<double> mean_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// A journal of another version, or of another hand, may hold what is no figure: then there is none.
std::optional<EnergyFigure> energy_of(const record::Epoch& epoch) {
  if (epoch.energy_j.is_null()) return {};
  try {
    return energy_from_json(epoch.energy_j);
  } catch (const IoError&) {
    return {};
  }
}

/// Sets what is a mean over epochs: phases, samples a second, energy.
void average_epochs(const std::vector<const record::Epoch*>& epochs, ComparisonRow& row) {
  double train_s = 0, samples = 0;
  std::vector<double> energy;
  std::optional<EnergyFigure> told;  // the weakest of the epochs'
  for (const auto* epoch : epochs) {
    train_s += epoch->train_s;
    samples += static_cast<double>(epoch->samples);
    for (std::size_t phase = 0; phase < kPhases; ++phase)
      row.seconds.values[phase] += epoch->seconds.values[phase] / static_cast<double>(epochs.size());
    const auto figure = energy_of(*epoch);
    if (!figure) continue;
    energy.push_back(figure->value_j);
    if (!told || figure->error_pct > told->error_pct) told = figure;
  }
  row.samples_per_s = train_s > 0 ? samples / train_s : std::numeric_limits<double>::quiet_NaN();
  if (energy.size() == epochs.size()) row.energy_j_per_epoch = mean_of(energy);
  if (!row.energy_j_per_epoch) return;
  row.energy = told;
  row.energy->value_j = *row.energy_j_per_epoch;
}

/// Of the last run that has some.
void add_shares(const RunState& run, ComparisonRow& row) {
  if (run.attempts.empty() || run.attempts.back().shares.empty()) return;
  row.shares = shares_history(run.attempts.back());
  row.slow_ranks = worth_sentence(run.attempts.back(), cpu_ranks_of(run));
}

}  // namespace

std::vector<const record::Epoch*> counted_epochs(const RunState& run) {
  std::vector<const record::Epoch*> first, later;
  for (const auto& attempt : run.attempts) {
    bool warm = false;
    for (const auto& epoch : attempt.epochs) {
      if (epoch.complete) (warm ? later : first).push_back(&epoch);
      warm = true;
    }
  }
  return later.empty() ? first : later;
}

Interval epoch_cost(const MeasuredRow& measured, const Price& price) {
  std::vector<std::vector<double>> costs;
  for (const auto& walls : measured.walls) {
    auto& of_repeat = costs.emplace_back();
    for (const double wall_s : walls)
      of_repeat.push_back(static_cast<double>(holding_cost(price, measured.holding, counted_time(wall_s)).nano));
  }
  // Nano-dollars are summed as whole numbers, which double does exactly; scaled once, at the edge.
  Interval cost = interval_of(costs);
  cost.mean *= kUsdPerNano;
  if (cost.low) *cost.low *= kUsdPerNano;
  if (cost.high) *cost.high *= kUsdPerNano;
  return cost;
}

bool may_win(const ComparisonRow& row) {
  return row.status == to_text(RunStatus::kDone) && !row.contended && std::isfinite(row.seconds_per_epoch.mean);
}

MeasuredRow measure(const std::vector<const RunState*>& repeats, const std::map<std::string, NanoUsd>& reprice) {
  REGATTA_ENSURE(!repeats.empty(), "a row needs a run");
  const RunState& first = *repeats.front();
  MeasuredRow measured{.holding = holding_of(first)};
  ComparisonRow& row = measured.row;
  row.configuration = first.configuration;
  row.pool = first.pool;
  row.backend = first.backend;
  row.precision = first.precision;
  row.choice = first.choice;
  row.nodes = first.nodes;
  row.ranks = first.ranks;
  row.threads = first.threads;
  row.cpu_ranks = first.cpu_ranks;
  row.repeats = static_cast<int>(repeats.size());
  row.epochs = std::numeric_limits<int>::max();

  const RunState* worst = &first;
  bool billed = true;
  std::vector<const record::Epoch*> epochs;
  std::vector<double> accuracies;
  for (const RunState* run : repeats) {
    if (gravity(run->status) > gravity(worst->status)) worst = run;
    row.contended |= run->contended;
    row.epochs = std::min(row.epochs, complete_epochs(*run));
    const auto price = price_of(*run, reprice);
    if (!row.price) row.price = price;
    billed = add_bill(*run, price, reprice.contains(run->pool), row) && billed;
    add_shares(*run, row);
    for (const auto& attempt : run->attempts)
      if (attempt.queue_s) row.queue_s = row.queue_s.value_or(0) + *attempt.queue_s;
    if (const auto accuracy = final_accuracy(*run)) accuracies.push_back(*accuracy);
    auto& walls = measured.walls.emplace_back();
    for (const auto* epoch : counted_epochs(*run)) {
      walls.push_back(epoch->wall_s);
      epochs.push_back(epoch);
    }
  }
  row.status = to_text(worst->status);
  if (worst->status != RunStatus::kDone) row.reason = worst->reason;
  if (!billed) {
    row.usd_total.reset();
    row.usd_parts.clear();
  }
  row.test_accuracy = mean_of(accuracies);
  average_epochs(epochs, row);
  row.stragglers = straggler_sentence(epochs, row.price, measured.holding);
  row.seconds_per_epoch = interval_of(measured.walls);
  row.usd_per_epoch = row.price ? epoch_cost(measured, *row.price) : t_interval({});
  return measured;
}

}  // namespace regatta
