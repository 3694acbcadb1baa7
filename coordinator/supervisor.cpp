#include "coordinator/supervisor.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "common/files.hpp"
#include "coordinator/exit_message.hpp"
#include "coordinator/ingest.hpp"
#include "coordinator/journal_follower.hpp"
#include "coordinator/link_server.hpp"
#include "coordinator/run_progress.hpp"
#include "coordinator/vitals.hpp"
#include "jobs/plan_files.hpp"

// The order is the promise: an event stands in the ledger before anything is done about it, so that whoever finds the
// ledger after a crash knows what may still run. The journal is the truth; the link only says when to look.

namespace regatta {

namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 250ms;     // how late the journal is read when the link is down
constexpr auto kReapLimit = 10s;  // SIGKILL takes milliseconds, unless the kernel itself hangs

/// How the ranks ended, and why if it was we who ended them.
struct Ending {
  ExitStatus status;
  std::string killed_because;
};

class Attempt {
 public:
  Attempt(const Plan& plan, const PoolSpec& pool, const fs::path& run_dir, const SupervisorParts& parts)
      : plan_(plan),
        pool_(pool),
        parts_(parts),
        folder_(attempt_folder(run_dir, plan.attempt)),
        request_(attempt_launch(plan, run_dir, parts.worker)),
        argv_(launch_command(pool, request_)),
        journal_(folder_ / "journal.jsonl", plan.run, plan.attempt),
        progress_(plan) {
    vitals_.deadline_s = plan.training.train.deadline_s;
    vitals_.data_bytes = plan.dataset.bytes_to_decode();
  }

  void prepare(const fs::path& run_dir, const std::string& job_text) {
    fs::create_directories(folder_);
    write_file_atomically(run_dir / "job.yaml", job_text);
    Plan launched = plan_;
    launched.launched_at = wall_now();
    write_plan(launched, folder_);
    write_file_atomically(folder_ / "launch.sh", launch_script(argv_), 0755);
    open_link();
  }

  void run() {
    record("launch", {{"argv", argv_}, {"at", to_text(wall_now())}});
    launched_at_ = wall_now();
    vitals_.launched = vitals_.last_sign = std::chrono::steady_clock::now();
    try {
      const auto ranks = launch(pool_, request_, folder_ / "launch.log");
      record_exit(follow(*ranks));
    } catch (const LaunchError& error) {
      record("exit", {{"code", 127},  // the shell's code for a command that is not there
                      {"signal", nullptr},
                      {"reason", "not launched"},
                      {"message", error.what()},
                      {"held_s", 0.0},
                      {"startup_s", nullptr},
                      {"asked_to_stop", false}});
    }
    link_.reset();
    fs::remove(folder_ / "link.json");  // the token opens nothing any more
  }

 private:
  void open_link() {
    try {
      link_ = std::make_unique<LinkServer>(parts_.reactor.context(), plan_.run, plan_.attempt,
                                           [this](const LinkMessage& message) {
                                             vitals_.last_sign = std::chrono::steady_clock::now();
                                             if (const auto* progress = std::get_if<Progress>(&message))
                                               progress_.hear(*progress);
                                           });
      write_file_atomically(folder_ / "link.json", link_->file_text(), 0600);
    } catch (const CommError& error) {
      link_.reset();
      parts_.display.note(std::string(error.what()) + "; following the journal file instead");
    }
  }

  Ending follow(Launch& ranks) {
    for (;;) {
      parts_.reactor.wait(kTick);
      // Asked before reading: once the ranks are gone, what is read is all there will ever be.
      const auto ended = ranks.poll();
      take_journal();
      if (ended) {
        take_journal();  // good lines come before the damage that follows them
        return ending_of(*ended);
      }
      const auto now = std::chrono::steady_clock::now();
      vitals_.interrupts = parts_.reactor.interrupts();
      vitals_.started = progress_.started();
      vitals_.step = progress_.step();
      const Decision decision = damage_.empty() ? decide(vitals_, now) : Decision{Act::kKill, "killed: " + damage_};
      if (decision.act == Act::kRequestStop) {
        ranks.request_stop();
        vitals_.asked_again = now;
        if (!vitals_.stop_requested) {
          vitals_.stop_requested = now;
          parts_.display.say("stopping " + plan_.placement.configuration + " (once more to kill it)");
        }
      } else if (decision.act == Act::kKill) {
        const ExitStatus status = kill(ranks);
        take_journal();
        return {status, decision.reason};
      }
      parts_.display.update(progress_.view(now, now - vitals_.launched));
    }
  }

  static ExitStatus kill(Launch& ranks) {
    ranks.kill();
    const auto limit = std::chrono::steady_clock::now() + kReapLimit;
    for (;;) {
      if (const auto status = ranks.poll()) return *status;
      if (std::chrono::steady_clock::now() > limit) throw IoError("the ranks outlive SIGKILL; look for a hanging disk");
      std::this_thread::sleep_for(10ms);
    }
  }

  /// Ledger first, then the eyes. Only a ledger that cannot be written throws.
  void take_journal() {
    std::vector<FollowedLine> lines;
    try {
      lines = journal_.poll();
    } catch (const IoError& error) {
      damage_ = error.what();
    }
    for (auto& [line, body] : lines) {
      const auto now = std::chrono::steady_clock::now();
      Event event{.at = line.at,
                  .run_id = plan_.run.value,
                  .attempt = plan_.attempt,
                  .source = "journal",
                  .source_seq = line.seq,
                  .kind = "journal",
                  .body = std::move(body)};
      parts_.ledger.append({event}, parts_.owner);
      vitals_.last_sign = now;
      progress_.hear(line, now);
      if (std::holds_alternative<record::Start>(line.body)) startup_ = line.at - launched_at_;
      if (const auto* stop = std::get_if<record::Stop>(&line.body)) stop_message_ = stop->message;
      if (std::holds_alternative<record::Epoch>(line.body))
        parts_.display.epoch_done(progress_.view(now, now - vitals_.launched));
    }
  }

  /// An end in order with a damaged journal is none.
  Ending ending_of(const ExitStatus& status) const {
    if (status.code != 0 || damage_.empty()) return {status, {}};
    return {{.code = static_cast<int>(ExitCode::kDisk)}, damage_};
  }

  void record_exit(const Ending& ending) {
    const Duration held = std::chrono::steady_clock::now() - vitals_.launched;
    Json startup = nullptr;
    if (startup_) startup = std::clamp(seconds(*startup_), 0.0, seconds(held));
    record("exit", {{"code", ending.status.code},
                    {"signal", value_or_null(ending.status.signal)},
                    {"reason", ending.killed_because.empty() ? describe_exit(ending.status) : ending.killed_because},
                    {"message", message_of(ending.status)},
                    {"held_s", seconds(held)},
                    {"startup_s", startup},
                    {"asked_to_stop", vitals_.interrupts > 0}});
  }

  std::string message_of(const ExitStatus& status) const {
    const auto code = static_cast<ExitCode>(status.code);
    const bool in_order = code == ExitCode::kDone || code == ExitCode::kStoppedOnRequest;
    return in_order || !stop_message_.empty() ? stop_message_ : last_error(folder_);
  }

  void record(const char* kind, Json body) {
    parts_.ledger.append({Event{.at = wall_now(),
                                .run_id = plan_.run.value,
                                .attempt = plan_.attempt,
                                .source = "coordinator",
                                .kind = kind,
                                .body = std::move(body)}},
                         parts_.owner);
  }

  const Plan& plan_;
  const PoolSpec& pool_;
  SupervisorParts parts_;
  fs::path folder_;
  LaunchRequest request_;
  std::vector<std::string> argv_;
  JournalFollower journal_;
  RunProgress progress_;
  Vitals vitals_;
  Timestamp launched_at_;
  std::optional<Duration> startup_;
  std::string stop_message_, damage_;  ///< what the stop line says; what is wrong with the journal
  std::unique_ptr<LinkServer> link_;
};

}  // namespace

RunState supervise(const Plan& plan, const PoolSpec& pool, const fs::path& run_dir, const std::string& job_text,
                   SupervisorParts parts) {
  Attempt attempt(plan, pool, run_dir, parts);
  attempt.prepare(run_dir, job_text);
  attempt.run();
  parts.ledger.append({end_event(run_state(parts.ledger, plan.run), wall_now())}, parts.owner);
  return run_state(parts.ledger, plan.run);
}

RunState run_state(const Ledger& ledger, const RunId& run) {
  State state;
  for (const auto& event : ledger.events_of(run.value)) apply(state, event);
  const auto found = state.runs.find(run.value);
  REGATTA_ENSURE(found != state.runs.end(), "a supervised run has a run event");
  return found->second;
}

LaunchRequest attempt_launch(const Plan& plan, const fs::path& run_dir, const fs::path& worker) {
  return {.worker = worker,
          .plan = attempt_folder(run_dir, plan.attempt) / "plan.json",
          .run_dir = run_dir,
          .ranks = plan.placement.ranks,
          .ranks_by_node = ranks_by_node(plan.placement),
          .contended = plan.placement.contended};
}

}  // namespace regatta
