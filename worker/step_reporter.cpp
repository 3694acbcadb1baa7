#include "worker/step_reporter.hpp"

namespace regatta {
namespace {

constexpr std::size_t kEarlySteps = 20;
constexpr auto kHeartbeatEvery = std::chrono::seconds(5);  // readers expect one every 10 s; a step may take a while
constexpr auto kProgressEvery = std::chrono::milliseconds(250);

}  // namespace

StepReporter::StepReporter(Journal* journal, const Plan& plan, SteadyTime process_start)
    : journal_(journal),
      plan_(plan),
      process_start_(process_start),
      last_heartbeat_(std::chrono::steady_clock::now()),
      last_progress_(last_heartbeat_) {}

void StepReporter::after_step(const Step& step) {
  if (journal_ == nullptr) return;
  const SteadyTime now = std::chrono::steady_clock::now();
  last_ = step;
  samples_ += step.global_samples;
  if (step.number == 1) journal_->write(record::FirstStep{.startup_s = seconds(now - process_start_)});
  if (early_.size() < kEarlySteps) early_.push_back(step.loss);
  if (early_.size() == kEarlySteps) write_early();
  if (now - last_heartbeat_ >= kHeartbeatEvery) {
    last_heartbeat_ = now;
    journal_->write(record::Heartbeat{.epoch = step.epoch,
                                      .step = step.number,
                                      .loss = step.loss,
                                      .samples = samples_,
                                      .node_seconds = plan_.placement.nodes * seconds(now - process_start_)});
  }
  if (now - last_progress_ >= kProgressEvery) give_progress(now);
}

void StepReporter::give_progress(SteadyTime now) {
  journal_->progress(
      {.epoch = last_.epoch,
       .step = last_.in_epoch,
       .steps_per_epoch = plan_.steps_per_epoch(),
       .loss = last_.loss,
       .samples_per_s = static_cast<double>(samples_ - samples_at_progress_) / seconds(now - last_progress_),
       .phase = "train"});
  last_progress_ = now;
  samples_at_progress_ = samples_;
}

void StepReporter::evaluating() {
  if (journal_ == nullptr) return;
  journal_->progress({.epoch = last_.epoch,
                      .step = last_.in_epoch,
                      .steps_per_epoch = plan_.steps_per_epoch(),
                      .loss = last_.loss,
                      .phase = "evaluate"});
}

void StepReporter::write_early() {
  if (early_written_ || early_.empty()) return;
  journal_->write(record::Early{.losses = early_});
  early_written_ = true;
}

void StepReporter::finish() {
  if (journal_ != nullptr) write_early();
}

}  // namespace regatta
