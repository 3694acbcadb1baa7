#include "coordinator/trial_run.hpp"

#include <chrono>

#include "common/overloaded.hpp"
#include "coordinator/exit_message.hpp"
#include "coordinator/ingest.hpp"
#include "coordinator/journal_follower.hpp"
#include "coordinator/supervisor.hpp"
#include "coordinator/vitals.hpp"
#include "jobs/plan_files.hpp"
#include "jobs/staging.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto kTrialTick = 50ms;  // the end of the ranks wakes at once, this is for a silent death

class ScratchFolder {
 public:
  explicit ScratchFolder(fs::path path) : path_(std::move(path)) { fs::create_directories(path_); }
  ~ScratchFolder() {
    std::error_code ignored;  // what cannot be removed is in nobody's way
    fs::remove_all(path_, ignored);
    fs::remove(path_.parent_path(), ignored);  // when it was the last one
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

 private:
  fs::path path_;
};

class TrialRun {
 public:
  TrialRun(const Plan& plan, const fs::path& folder)
      : attempt_(attempt_folder(folder, plan.attempt)), journal_(attempt_ / "journal.jsonl", plan.run, plan.attempt) {
    vitals_.deadline_s = plan.training.train.deadline_s;
    vitals_.data_bytes = plan.dataset.bytes_to_decode();
    if (plan.training.data.stage == Stage::kNodeLocal) vitals_.before_start = stage_allowance(plan.dataset);
  }

  TrialOutcome follow(Launch& ranks, Reactor& reactor) {
    vitals_.launched = vitals_.last_sign = std::chrono::steady_clock::now();
    for (;;) {
      reactor.wait(kTrialTick);
      const auto ended = ranks.poll();  // asked before reading: what is read then is all there will be
      take_journal();
      if (ended) {
        note_end(*ended);
        return outcome_;
      }
      const Decision decision = decide(vitals_, std::chrono::steady_clock::now());
      outcome_.interrupted = reactor.interrupts() > 0;
      if (!outcome_.interrupted && decision.act == Act::kGoOn) continue;
      ranks.kill();
      outcome_.failure = outcome_.interrupted ? "interrupted" : decision.reason;
      return outcome_;
    }
  }

 private:
  void take_journal() {
    for (auto& [line, body] : journal_.poll()) {
      vitals_.last_sign = std::chrono::steady_clock::now();
      std::visit(Overloaded{[&](const record::Start&) { vitals_.started = true; },
                            [&](const record::Early& early) {
                              outcome_.losses = early.losses;
                              outcome_.step_s = early.step_s;
                            },
                            [&](const record::Stop& stop) { message_ = stop.message; }, [](const auto&) {}},
                 line.body);
    }
  }

  void note_end(const ExitStatus& status) {
    if (status.code == static_cast<int>(ExitCode::kDone)) return;
    outcome_.failure = describe_exit(status);
    if (message_.empty()) message_ = last_error(attempt_);
    if (!message_.empty()) outcome_.failure = message_;
  }

  fs::path attempt_;
  JournalFollower journal_;
  Vitals vitals_;
  TrialOutcome outcome_;
  std::string message_;
};

}  // namespace

TrialOutcome run_trial(const Plan& plan, const PoolSpec& pool, const fs::path& folder, const fs::path& worker,
                       Reactor& reactor) {
  const ScratchFolder scratch(folder);
  const fs::path attempt = attempt_folder(folder, plan.attempt);
  fs::create_directories(attempt);
  write_plan(plan, attempt);
  TrialRun trial(plan, folder);
  try {
    const auto ranks = launch(pool, attempt_launch(plan, folder, worker), attempt / "launch.log");
    return trial.follow(*ranks, reactor);
  } catch (const Error& error) {  // not launched, or a journal that cannot be read
    return {.failure = error.what()};
  }
}

}  // namespace regatta
