#include "coordinator/run_progress.hpp"

#include <algorithm>
#include <cmath>

#include "common/overloaded.hpp"

namespace regatta {

namespace {
std::optional<double> finite(double value) {
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}
}  // namespace

RunProgress::RunProgress(const Plan& plan) : plan_(plan) {
  view_.name = plan.placement.configuration;
  if (plan.repeat > 1) view_.name += " #" + std::to_string(plan.repeat);
  if (plan.training.stop.epochs) view_.epochs = static_cast<int>(*plan.training.stop.epochs);
}

void RunProgress::hear_pace(double samples_per_s) {
  if (!std::isfinite(samples_per_s) || samples_per_s <= 0) return;
  view_.samples_per_s = samples_per_s;
  const double step_s = static_cast<double>(plan_.training.train.batch) / samples_per_s;
  if (step_s < 1e6) step_ = std::max(step_.value_or(Duration(0)), from_seconds(step_s));
}

void RunProgress::hear(const JournalLine& line, SteadyTime now) {
  std::visit(Overloaded{[&](const record::Start&) { started_ = now; },
                        [&](const record::FirstStep&) {
                          view_.epoch = std::max(view_.epoch, 1);
                          view_.phase = "train";
                        },
                        [&](const record::Heartbeat& heartbeat) {
                          view_.epoch = std::max(heartbeat.epoch, 1);
                          view_.loss = finite(heartbeat.loss);
                          const auto before = (view_.epoch - 1) * plan_.steps_per_epoch();
                          step_in_epoch_ =
                              std::clamp<std::int64_t>(heartbeat.step - before, 0, plan_.steps_per_epoch());
                        },
                        [&](const record::Epoch& epoch) {
                          view_.epoch = epoch.epoch;  // may be a part: stopped on request or by time
                          step_in_epoch_ = epoch.last_step - (epoch.epoch - 1) * plan_.steps_per_epoch();
                          view_.loss = finite(epoch.train_loss);
                          view_.test_accuracy = epoch.test_accuracy;
                          hear_pace(epoch.samples_per_s);
                        },
                        [](const auto&) {}},
             line.body);
}

void RunProgress::hear(const Progress& progress) {
  view_.epoch = progress.epoch;
  view_.phase = progress.phase;
  step_in_epoch_ = std::clamp<std::int64_t>(progress.step, 0, plan_.steps_per_epoch());
  if (finite(progress.loss)) view_.loss = progress.loss;
  hear_pace(progress.samples_per_s);
}

ProgressView RunProgress::view(SteadyTime now, Duration held) const {
  ProgressView view = view_;
  const Holding holding = holding_of(plan_.placement);
  const std::optional<double> limit_s = time_limit(holding);
  const auto fraction = [&](std::optional<double> max_time_s) {
    return fraction_done(view.epoch, step_in_epoch_, plan_.steps_per_epoch(), plan_.training.stop.epochs, held,
                         max_time_s);
  };
  view.fraction = fraction(limit_s);
  // Epochs have a pace since the start line; limits run from the launch, as in the worker. The first stop wins.
  view.left = time_left(fraction({}), started_ ? now - *started_ : Duration(0));
  if (limit_s) {
    const Duration rest = std::max(from_seconds(*limit_s) - held, Duration(0));
    view.left = std::min(view.left.value_or(rest), rest);
  }
  if (plan_.price) view.cost = holding_cost(*plan_.price, holding, held);
  return view;
}

std::optional<double> RunProgress::time_limit(const Holding& holding) const {
  const StopSpec& stop = plan_.training.stop;
  std::optional<double> limit = stop.max_time_s;
  if (!stop.max_cost || !plan_.price) return limit;
  constexpr Duration kHour = std::chrono::hours(1);
  const auto an_hour = static_cast<double>(holding_cost(*plan_.price, holding, kHour).nano);
  if (an_hour <= 0) return limit;
  const auto left = static_cast<double>(stop.max_cost->nano - plan_.spent.nano);
  const double bought = std::clamp(left / an_hour * seconds(kHour), 0.0, kLongestSeconds);
  return std::min(limit.value_or(bought), bought);
}

}  // namespace regatta
