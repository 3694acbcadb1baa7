#include "worker/step_reporter.hpp"

#include <utility>

namespace regatta {
namespace {

constexpr std::size_t kEarlySteps = 20;
constexpr auto kHeartbeatEvery = std::chrono::seconds(5);  // readers expect one every 10 s; a step may take a while
constexpr auto kProgressEvery = std::chrono::milliseconds(250);

}  // namespace

StepReporter::StepReporter(Journal* journal, const Plan& plan, SteadyTime process_start, SteadyTime now)
    : journal_(journal),
      plan_(plan),
      process_start_(process_start),
      last_step_(now),
      last_heartbeat_(now),
      last_progress_(now) {}

void StepReporter::after_step(const Step& step, SteadyTime now) {
  if (journal_ == nullptr) return;
  last_ = step;
  samples_ += step.global_samples;
  if (step.number == 1) journal_->write(record::FirstStep{.startup_s = seconds(now - process_start_)});
  const std::size_t early = plan_.trial ? static_cast<std::size_t>(plan_.trial->most_steps) : kEarlySteps;
  const SteadyTime before = std::exchange(last_step_, now);
  if (early_.losses.size() < early) {
    early_.losses.push_back(step.loss);
    if (plan_.trial) early_.step_s.push_back(seconds(now - before));
  }
  if (early_.losses.size() == early) write_early();
  give_signs("train", now);
}

void StepReporter::evaluating(SteadyTime now) {
  if (journal_ != nullptr) give_signs("evaluate", now);
}

/// Heartbeats come from evaluations too: whoever watches takes silence for death. Progress is limited to four a second,
/// a change of phase always passes; it has no pace, because its interval holds some of both phases.
void StepReporter::give_signs(std::string_view phase, SteadyTime now) {
  if (now - last_heartbeat_ >= kHeartbeatEvery) {
    last_heartbeat_ = now;
    journal_->write(record::Heartbeat{.epoch = last_.epoch,
                                      .step = last_.number,
                                      .loss = last_.loss,
                                      .samples = samples_,
                                      .node_seconds = plan_.placement.nodes * seconds(now - process_start_)});
  }
  const bool changed = phase != phase_;
  if (!changed && now - last_progress_ < kProgressEvery) return;
  const auto samples = static_cast<double>(samples_ - samples_at_progress_);
  journal_->progress({.epoch = last_.epoch,
                      .step = last_.in_epoch,
                      .steps_per_epoch = plan_.steps_per_epoch(),
                      .loss = last_.loss,
                      .samples_per_s = changed ? 0 : samples / seconds(now - last_progress_),
                      .phase = std::string(phase)});
  phase_ = phase;
  last_progress_ = now;
  samples_at_progress_ = samples_;
}

void StepReporter::write_early() {
  if (early_written_ || early_.losses.empty()) return;
  journal_->write(early_);
  early_written_ = true;
}

void StepReporter::finish() {
  if (journal_ != nullptr) write_early();
}

}  // namespace regatta
