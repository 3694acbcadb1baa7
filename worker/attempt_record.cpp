#include "worker/attempt_record.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <future>
#include <memory>
#include <thread>
#include <variant>

#include "worker/allocator.hpp"

namespace regatta {

namespace {

std::string describe(const record::Epoch& epoch) {
  const std::string tested = epoch.test_accuracy ? fmt::format(", test loss {:.4f}, accuracy {:.2f} %",
                                                               epoch.test_loss.value_or(0), 100 * *epoch.test_accuracy)
                                                 : "";
  std::string late;
  if (const auto& stragglers = epoch.stragglers)
    late = fmt::format("; the others waited {:.2f} s for rank {} on {}", stragglers->waited_s,
                       fmt::join(stragglers->ranks, ", "), fmt::join(stragglers->hosts, ", "));
  return fmt::format("epoch {}{}: loss {:.4f}{}, {:.2f} s, {:.0f} samples/s{}", epoch.epoch,
                     epoch.complete ? "" : " (cut short)", epoch.train_loss, tested, epoch.wall_s, epoch.samples_per_s,
                     late);
}

constexpr auto kLastWordsWithin = std::chrono::seconds(2);

}  // namespace

AttemptRecord::AttemptRecord(const Plan& plan, const RunFolder& folder, SteadyTime process_start, RankLog& log)
    : plan_(plan),
      folder_(folder),
      process_start_(process_start),
      log_(log),
      link_(folder.attempt, plan.run, plan.attempt, [&log](const std::string& text) { log.warning(text); }),
      journal_(folder.attempt, plan.run, plan.attempt, &link_, [this](const RecordBody& body) { heard(body); }) {
  so_far_.train_loss = std::numeric_limits<double>::quiet_NaN();
}

void AttemptRecord::heard(const RecordBody& body) {
  const std::lock_guard lock(mutex_);
  if (const auto* beat = std::get_if<record::Heartbeat>(&body)) {
    so_far_.steps = beat->step;
  } else if (const auto* epoch = std::get_if<record::Epoch>(&body)) {
    so_far_.steps = epoch->last_step;
    so_far_.train_loss = epoch->train_loss;
    so_far_.test_loss = epoch->test_loss;
    so_far_.test_accuracy = epoch->test_accuracy;
    if (epoch->complete) so_far_.epochs = epoch->epoch;
    log_.info(describe(*epoch));
  } else if (const auto* first = std::get_if<record::FirstStep>(&body)) {
    log_.info(fmt::format("first step done {:.2f} s after the start of the process", first->startup_s));
  }
}

void AttemptRecord::close(const TrainingResult& result, const std::string& message,
                          const std::optional<WeightsFile>& weights) {
  const std::lock_guard lock(ending_);
  if (closed_) return;
  const double wall_s = seconds(std::chrono::steady_clock::now() - process_start_);
  write_result(folder_.run, result_json(plan_, result, message, wall_s, weights));
  journal_.write(record::Stop{.reason = result.reason,
                              .exit_code = static_cast<int>(result.exit_code),
                              .message = message,
                              .epochs = result.epochs,
                              .steps = result.steps,
                              .node_seconds = plan_.placement.nodes * wall_s,
                              .cost_decision = result.cost_decision,
                              .memory = allocator_memory()});
  closed_ = true;
}

void AttemptRecord::close_failed(ExitCode code, const std::string& message) noexcept {
  try {
    TrainingResult failed;
    {
      const std::lock_guard lock(mutex_);
      failed = so_far_;
    }
    failed.reason = "error";
    failed.exit_code = code;
    close(failed, message, {});
  } catch (const std::exception& error) {
    log_.warning(std::string("the end of this attempt could not be recorded: ") + error.what());
  }
}

void LastWords::set(AttemptRecord* record) {
  const std::lock_guard lock(mutex_);
  record_ = record;
}

void LastWords::say(ExitCode code, const std::string& message) {
  const auto said = std::make_shared<std::promise<void>>();
  auto end = said->get_future();
  std::thread([this, said, code, message] {
    {
      const std::lock_guard lock(mutex_);
      if (record_ != nullptr) record_->close_failed(code, message);
    }
    said->set_value();
  }).detach();
  end.wait_for(kLastWordsWithin);
}

}  // namespace regatta
