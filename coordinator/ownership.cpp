#include "coordinator/ownership.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "cluster/slurm_job.hpp"
#include "coordinator/batch_end.hpp"
#include "coordinator/figures.hpp"
#include "coordinator/ingest.hpp"
#include "coordinator/process_table.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

// Ranks get SIGTERM when their coordinator dies and end at the next step. For all runs together: somebody waits for the
// answer to `regatta list`.
constexpr auto kPatience = std::chrono::seconds(10);

// Slurm answers within a fraction of a second. What it has not said by then is told as not known, and asked again by
// the next command. For all runs together.
constexpr auto kAnswerPatience = std::chrono::seconds(4);

/// A run as it stands, and what is about to be appended to it.
struct Adoption {
  State state;
  std::string id;
  std::vector<Event> pending;

  const RunState& run() const { return state.runs.at(id); }
  void add(Event event) {
    apply(state, event);
    pending.push_back(std::move(event));
  }
};

Adoption load(const Ledger& ledger, const std::string& id) {
  Adoption adoption{.id = id};
  for (const auto& event : ledger.events_of(id)) apply(adoption.state, event);
  return adoption;
}

const AttemptState* open_attempt(const RunState& run) {
  const auto at = std::find_if(run.attempts.rbegin(), run.attempts.rend(),
                               [](const AttemptState& attempt) { return attempt.launched_at && !attempt.held_s; });
  return at == run.attempts.rend() ? nullptr : &*at;
}

/// The lines that its coordinator did not take over any more. A damaged journal is no reason to leave the run open.
std::string take_journal(Adoption& adoption, const AttemptState& attempt) {
  const fs::path folder = attempt_folder(adoption.run().run_dir, attempt.attempt);
  try {
    for (auto& event : journal_events(folder, adoption.run().id, attempt.attempt, attempt.last_seq))
      adoption.add(std::move(event));
    return {};
  } catch (const IoError& error) {
    return std::string("; its journal is damaged: ") + error.what();
  }
}

void close_attempt(Adoption& adoption, int number, const Owner& dead, const std::string& note) {
  const auto& attempts = adoption.run().attempts;
  const auto& attempt = *std::find_if(attempts.begin(), attempts.end(),
                                      [&](const AttemptState& known) { return known.attempt == number; });
  const Timestamp launched = *attempt.launched_at;
  const Timestamp last_sign = std::max(launched, attempt.last_line_at.value_or(launched));
  const double held_s = seconds(last_sign - launched);
  Json startup_s = nullptr;
  if (attempt.started_at) startup_s = std::clamp(seconds(*attempt.started_at - launched), 0.0, held_s);

  Event event{.at = wall_now(), .run_id = adoption.id, .attempt = number, .source = "coordinator"};
  if (finished_in_order(adoption.run(), attempt)) {
    event.kind = "exit";
    event.body = {{"code", 0},     {"signal", nullptr}, {"reason", describe_exit({.code = 0})},
                  {"message", ""}, {"held_s", held_s},  {"startup_s", startup_s}};
  } else {
    std::string message = fmt::format("its coordinator (process {}) died", dead.pid);
    if (attempt.stop) message += "; the ranks ended: " + attempt.stop->reason;
    event.kind = "lost";
    event.body = {
        {"last_sign", to_text(last_sign)}, {"held_s", held_s}, {"startup_s", startup_s}, {"message", message + note}};
  }
  adoption.add(std::move(event));
}

std::string sentence(const RunState& run, const Owner& dead) {
  std::string text = fmt::format("run {} ({}) is {}: its coordinator (process {}) is gone", run.id.value,
                                 run.configuration, to_text(run.status), dead.pid);
  if (!run.attempts.empty() && run.attempts.back().held_s)
    text += fmt::format("; held {}", duration_text(*run.attempts.back().held_s));
  if (run.bill) text += ", " + dollars(run.bill->total);
  if (run.status != RunStatus::kDone && !run.reason.empty()) text += ": " + run.reason;
  return text;
}

/// This process as the run's owner; nothing when another command was quicker.
/// A dead owner writes no more, so a run that is read after its owner's death and is still open stays open until
/// somebody adopts it; and who adopts it first makes the append of the others fail.
std::optional<Owner> adopt(Ledger& ledger, const std::string& id, const Owner& dead) {
  const auto abandoned = [&] {
    const Adoption now = load(ledger, id);
    return now.run().owner == dead && !is_final(now.run().status);
  };
  if (!abandoned()) return {};
  Owner me = this_process();
  me.fence = dead.fence + 1;
  const Event event{.at = wall_now(), .run_id = id, .source = "coordinator", .kind = "owner", .body = to_json(me)};
  try {
    ledger.append({event}, dead);
  } catch (const IoError&) {
    if (abandoned()) throw;
    return {};
  }
  return me;
}

/// A batch job without its coordinator, and what Slurm says of it.
struct LeftJob {
  const RunState* run;
  const AttemptState* attempt;
  std::unique_ptr<SlurmJob> job;
  std::optional<ExitStatus> status;  ///< it has ended
  std::string trouble;               ///< what Slurm says cannot be read

  bool is_known() const {
    const Allocation seen = *job->allocation();
    const bool moving = seen.state == "COMPLETING" || seen.state == "REQUEUED";
    return status || !trouble.empty() || (job->answered() && job->looked() && !seen.job.empty() && !moving);
  }
};

/// Asks Slurm for all of them at once until it has said how each stands, or for as long as a person waits.
void look_at(std::vector<LeftJob>& jobs) {
  const auto end = std::chrono::steady_clock::now() + kAnswerPatience;
  for (;;) {
    bool all = true;
    for (auto& left : jobs) {
      try {
        if (!left.is_known()) left.status = left.job->poll();
      } catch (const Error& error) {
        left.trouble = error.what();
      }
      all = all && left.is_known();
    }
    if (all || std::chrono::steady_clock::now() > end) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

/// A batch job outlives its coordinator. One that has ended is closed as if its coordinator had seen it; one that goes
/// on stays open for `regatta wait`.
std::string look_after_job(Ledger& ledger, const LeftJob& left) {
  const RunState& run = *left.run;
  const Owner dead = *run.owner;
  if (!left.trouble.empty()) throw IoError(left.trouble);
  const Allocation seen = *left.job->allocation();
  const auto& status = left.status;
  if (!status) {
    const std::string what = seen.job.empty() ? "its job " + left.attempt->job->name : "Slurm job " + seen.job;
    if (!seen.answers || !left.job->answered())
      return fmt::format("run {} ({}): {} cannot be seen: {}", run.id.value, run.configuration, what,
                         seen.note.empty() ? "Slurm does not answer" : seen.note);
    if (seen.job.empty())
      return fmt::format("run {} ({}): {} is not in the queue yet; `regatta wait` follows it", run.id.value,
                         run.configuration, what);
    return fmt::format("run {} ({}) goes on without its coordinator (process {}) as {} ({}); `regatta wait` follows it",
                       run.id.value, run.configuration, dead.pid, what, seen.state);
  }
  const auto me = adopt(ledger, run.id.value, dead);
  if (!me) return {};
  Adoption adoption = load(ledger, run.id.value);
  const int number = left.attempt->attempt;
  if (!seen.job.empty()) adoption.add(job_event(run.id, number, seen, wall_now()));
  take_journal(adoption, *left.attempt);
  if (!status->lost.empty()) give_up(run.run_dir, number);
  const auto now = std::ranges::find(adoption.run().attempts, number, &AttemptState::attempt);
  adoption.add(batch_end_event(adoption.run(), *now, *status, "", now->asked_to_stop, wall_now()));
  adoption.add(end_event(adoption.run(), wall_now()));
  ledger.append(adoption.pending, *me);
  return sentence(adoption.run(), dead);
}

std::string close_run(Ledger& ledger, const std::string& id, const Owner& me, const Owner& dead, SteadyTime until) {
  Adoption adoption = load(ledger, id);
  if (const auto* attempt = open_attempt(adoption.run())) {
    const auto left = std::max<Duration>(until - std::chrono::steady_clock::now(), Duration(0));
    if (!wait_for_end_of_run(adoption.run().run_dir, std::chrono::duration_cast<std::chrono::milliseconds>(left)))
      throw IoError("its ranks outlive SIGKILL; look for a hanging disk");
    const int number = attempt->attempt;
    const std::string note = take_journal(adoption, *attempt);
    close_attempt(adoption, number, dead, note);
  }
  adoption.add(end_event(adoption.run(), wall_now()));
  ledger.append(adoption.pending, me);
  return sentence(adoption.run(), dead);
}

}  // namespace

std::optional<Owner> adopt(Ledger& ledger, const RunState& run) {
  return run.owner ? adopt(ledger, run.id.value, *run.owner) : std::nullopt;
}

bool is_left_behind(const RunState& run) {
  if (is_final(run.status) || !run.owner || is_alive(*run.owner)) return false;
  const auto* attempt = open_attempt(run);
  return attempt != nullptr && attempt->job;
}

Owner this_process() {
  const auto pid = static_cast<std::int64_t>(::getpid());
  return {.host = host_name(), .boot_id = boot_id(), .pid = pid, .start_time = start_time_of(pid).value_or(0)};
}

bool is_alive(const Owner& owner) {
  if (owner.host != host_name()) return true;
  return owner.boot_id == boot_id() && start_time_of(owner.pid) == owner.start_time;
}

std::vector<std::string> recover(Ledger& ledger) {
  return recover(ledger, load_state(ledger));
}

std::vector<std::string> recover(Ledger& ledger, const State& seen) {
  std::vector<std::string> said;
  std::vector<LeftJob> jobs;
  const SteadyTime until = std::chrono::steady_clock::now() + kPatience;
  const auto try_to = [&](const std::string& id, auto close) {
    try {
      if (auto sentence = close(); !sentence.empty()) said.push_back(std::move(sentence));
    } catch (const Error& error) {  // a ledger that is locked, Slurm's programs that are not in PATH
      said.push_back("run " + id + " stays open: " + error.what());
    }
  };
  for (const auto& [id, run] : seen.runs) {
    if (is_final(run.status) || !run.owner || is_alive(*run.owner)) continue;
    const auto* attempt = open_attempt(run);
    if (attempt != nullptr && attempt->job) {
      const Allocation known = known_allocation(*attempt->job);
      jobs.push_back({&run, attempt, SlurmJob::adopt(attempt->job->name, known, *attempt->launched_at), {}, {}});
      continue;
    }
    try_to(id, [&]() -> std::string {
      const auto me = adopt(ledger, id, *run.owner);
      return me ? close_run(ledger, id, *me, *run.owner, until) : "";
    });
  }
  look_at(jobs);
  for (const auto& left : jobs) try_to(left.run->id.value, [&] { return look_after_job(ledger, left); });
  return said;
}

}  // namespace regatta
