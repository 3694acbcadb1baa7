#include "coordinator/supervisor.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "cluster/ask_hosts.hpp"
#include "cluster/slurm_job.hpp"
#include "cluster/slurm_script.hpp"
#include "cluster/spawn.hpp"
#include "common/files.hpp"
#include "coordinator/batch_end.hpp"
#include "coordinator/exit_message.hpp"
#include "coordinator/ingest.hpp"
#include "coordinator/journal_follower.hpp"
#include "coordinator/launch_log.hpp"
#include "coordinator/link_server.hpp"
#include "coordinator/run_progress.hpp"
#include "coordinator/vitals.hpp"
#include "jobs/plan_files.hpp"
#include "jobs/staging.hpp"

// The order is the promise: an event stands in the ledger before anything is done about it, so that whoever finds the
// ledger after a crash knows what may still run. The journal is the truth; the link only says when to look.

namespace regatta {

namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 250ms;      // how late the journal is read when the link is down
constexpr auto kFirstAnswer = 5s;  // of Slurm, about a job that somebody else launched

/// Slurm holds nodes, and no rank can run on them: they boot, or the job is suspended.
bool stands_by(const std::string& slurm_state) {
  return slurm_state == "CONFIGURING" || slurm_state == "SUSPENDED" || slurm_state == "STOPPED";
}

/// That moment on this process's clock: not in the future, should clocks disagree, and not before `earliest`.
SteadyTime steady_at(Timestamp at, SteadyTime earliest = {}) {
  const SteadyTime now = std::chrono::steady_clock::now();
  return std::max(now - std::max<Duration>(wall_now() - at, Duration(0)), std::min(earliest, now));
}

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
        batch_(pool.launcher == LauncherKind::kSlurm && (!inside_slurm_allocation() || parts.worker.empty())),
        request_(attempt_launch(plan, run_dir, parts.worker)),
        argv_(launch_command(pool, request_)),
        journal_(folder_ / "journal.jsonl", plan.run, plan.attempt),
        progress_(plan) {
    if (pool.launcher == LauncherKind::kSsh)
      for (std::size_t node = 0; node < request_.ranks_by_node.size(); ++node)
        hosts_.insert(hosts_.end(), static_cast<std::size_t>(request_.ranks_by_node[node]), pool.hosts[node]);
    vitals_.deadline_s = plan.training.train.deadline_s;
    vitals_.data_bytes = plan.dataset.bytes_to_decode();
    vitals_.queue_timeout_s = pool.queue_timeout_s;
    vitals_.queued = batch_;
    if (plan.training.data.stage == Stage::kNodeLocal) vitals_.before_start = stage_allowance(plan.dataset);
  }

  void prepare(const std::string& job_text) {
    write_launch_files(plan_, pool_, request_, job_text);
    if (!batch_) open_link();  // a link is of one host
  }

  /// With a job that another coordinator launched.
  void go_on(const AttemptState& known) {
    launched_at_ = *known.launched_at;
    allocation_ = known_allocation(*known.job);
    told_ = known.last_seq;
    faults_ = find_faults(log_tail(folder_ / "launch.log"), hosts_);  // recorded already
    vitals_.queued = !allocation_->held_from;
    held_since_ = steady_at(allocation_->held_from.value_or(launched_at_));
    adopted_at_ = wall_now();
    const auto job = SlurmJob::adopt(known.job->name, *allocation_, launched_at_);
    // What the journal has is shown at what it cost, so Slurm says first since when nodes are held.
    const auto until = std::chrono::steady_clock::now() + kFirstAnswer;
    while (!job->poll() && !job->looked() && std::chrono::steady_clock::now() < until) parts_.reactor.wait(kTick / 10);
    vitals_.launched = vitals_.last_sign = std::chrono::steady_clock::now();
    finish(follow(*job));
  }

  void run() {
    Json intent = {{"argv", argv_}, {"at", to_text(wall_now())}};
    if (batch_) intent["job_name"] = request_.job_name;
    record("launch", std::move(intent));
    launched_at_ = wall_now();
    held_since_ = vitals_.launched = vitals_.last_sign = std::chrono::steady_clock::now();
    try {
      const auto ranks = launch(pool_, request_, folder_ / "launch.log");
      finish(follow(*ranks));
    } catch (const LaunchError& error) {
      if (batch_) give_up(folder_.parent_path().string(), plan_.attempt);  // should Slurm have taken it all the same
      record("exit", {{"code", 127},  // the shell's code for a command that is not there
                      {"signal", nullptr},
                      {"reason", "not launched"},
                      {"message", error.what()},
                      {"held_s", 0.0},
                      {"startup_s", nullptr},
                      {"asked_to_stop", vitals_.interrupts > 0}});
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
    std::string killed_because;
    SteadyTime killed_at;
    bool ended_after_fault = false;
    for (;;) {
      parts_.reactor.wait(kTick);
      // Asked before reading: once the ranks are gone, what is read is all there will ever be.
      const auto ended = ranks.poll();
      note_allocation(ranks);
      take_journal();
      take_launch_log();
      if (ended) {
        take_journal();  // good lines come before the damage that follows them
        if (ended_after_fault) return {{.code = code_after_fault()}, {}};
        return killed_because.empty() ? ending_of(*ended) : Ending{*ended, killed_because};
      }
      const auto now = std::chrono::steady_clock::now();
      if (batch_ && allocation_ && stands_by(allocation_->state)) vitals_.launched = vitals_.last_sign = now;
      vitals_.interrupts = parts_.reactor.interrupts();
      vitals_.started = progress_.started();
      vitals_.step = progress_.step();
      const Decision decision = damage_.empty() ? decide(vitals_, now) : Decision{Act::kKill, "killed: " + damage_};
      if (!killed_because.empty()) {
        if (now - killed_at > ranks.kill_limit())
          throw IoError(batch_ ? "Slurm does not end " + request_.job_name + "; see squeue"
                               : "the ranks outlive SIGKILL; look for a hanging disk");
      } else if (decision.act == Act::kRequestStop) {
        ranks.request_stop();
        vitals_.asked_again = now;
        if (!vitals_.stop_requested) {
          vitals_.stop_requested = now;
          parts_.display.say("stopping " + plan_.placement.configuration + " (once more to kill it)");
        }
      } else if (decision.act == Act::kKill) {
        killed_because = decision.reason;
        killed_at = now;
        ranks.kill();
        continue;  // what has ended is seen at once
      } else if (decision.act == Act::kKillAfterFault) {
        ended_after_fault = true;
        ranks.kill();
        continue;
      }
      parts_.display.update(view(now));
    }
  }

  ProgressView view(SteadyTime now) const {
    ProgressView seen = progress_.view(now, vitals_.queued ? Duration(0) : now - held_since_);
    if (vitals_.queued) {
      seen.waiting = "queued " + clock_text(now - held_since_);
      if (allocation_ && !allocation_->note.empty()) seen.waiting += " (" + allocation_->note + ")";
    }
    return seen;
  }

  /// What the batch system says, into the ledger when it changes.
  void note_allocation(const Launch& ranks) {
    const auto now = ranks.allocation();
    if (!now) return;
    const Allocation before = allocation_.value_or(Allocation{});
    allocation_ = now;
    const std::string name = plan_.placement.configuration;
    if (before.answers != now->answers)
      parts_.display.say(name + ": " + (now->answers ? "Slurm answers again" : now->note + "; asking again"));
    if (vitals_.queued && now->answers && !now->note.empty() && now->note != before.note)
      parts_.display.note(name + ": in the queue: " + now->note);
    const bool news = before.job != now->job || before.state != now->state || before.submitted != now->submitted ||
                      before.held_from != now->held_from || before.held_to != now->held_to;
    if (now->job.empty() || !news) return;
    parts_.ledger.append({job_event(plan_.run, plan_.attempt, *now, wall_now())}, parts_.owner);
    if (before.job.empty()) parts_.display.note(name + ": Slurm job " + now->job);
    if (before.held_from || !now->held_from) return;
    vitals_.queued = false;
    const auto waited =
        now->submitted ? std::max(*now->held_from - *now->submitted, Timestamp::duration(0)) : Timestamp::duration(0);
    held_since_ = steady_at(*now->held_from, steady_at(launched_at_));  // it is seen up to 10 s later
    vitals_.launched = vitals_.last_sign = std::chrono::steady_clock::now();
    parts_.display.note(name + ": on " + now->nodes + " after " + clock_text(waited) + " in the queue");
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
      // Written while nobody followed it, a line tells of its own moment.
      const SteadyTime heard = line.at < adopted_at_ ? steady_at(line.at) : now;
      progress_.hear(line, heard);
      if (const auto* start = std::get_if<record::Start>(&line.body)) note_start(line.at, start->startup_s);
      if (const auto* stop = std::get_if<record::Stop>(&line.body)) {
        stop_message_ = stop->message;
        stop_code_ = stop->exit_code;
        if (stop->exit_code == static_cast<int>(ExitCode::kDeadline) && !vitals_.faulted && !batch_) {
          vitals_.faulted = now;
          look_for_silent_hosts();
        }
      }
      if (std::holds_alternative<record::Epoch>(line.body) && line.seq > told_) parts_.display.epoch_done(view(heard));
    }
  }

  void note_start(Timestamp at, double startup_s) {
    startup_ = at - launched_at_;
    if (!vitals_.queued) return;
    vitals_.queued = false;  // its ranks run before Slurm was asked again, or Slurm has forgotten it
    const auto before = std::chrono::duration_cast<Timestamp::duration>(from_seconds(std::max(startup_s, 0.0)));
    held_since_ = steady_at(at - before, steady_at(launched_at_));
    vitals_.launched = std::chrono::steady_clock::now();
  }

  /// A fault stands in the ledger before mpirun ends for it, or has to be ended.
  void take_launch_log() {
    const std::string log = log_tail(folder_ / "launch.log");
    if (log == launch_log_) return;
    launch_log_ = log;
    for (auto& fault : find_faults(log, hosts_))
      if (std::find(faults_.begin(), faults_.end(), fault) == faults_.end()) note_fault(std::move(fault));
  }

  void note_fault(Fault fault) {
    constexpr std::size_t kMostFaults = 64;  // of a thousand ranks that all wait for the same one
    if (faults_.size() >= kMostFaults) return;
    // A batch system ends its jobs itself.
    if (!vitals_.faulted && !batch_) vitals_.faulted = std::chrono::steady_clock::now();
    record("fault", to_json(fault));
    faults_.push_back(std::move(fault));
    if (faults_.back().code == static_cast<int>(ExitCode::kDeadline)) look_for_silent_hosts();
  }

  /// Ranks that waited for somebody in vain: was it a whole host? Open MPI would never say.
  void look_for_silent_hosts() {
    const Fault* known = root_cause(faults_);
    const bool explained = known != nullptr && known->kind != Fault::Kind::kRankError;
    if (pool_.launcher != LauncherKind::kSsh || asked_hosts_ || explained) return;
    asked_hosts_ = true;
    const std::vector<std::string> used(
        pool_.hosts.begin(), pool_.hosts.begin() + static_cast<std::ptrdiff_t>(request_.ranks_by_node.size()));
    for (const auto& host : silent_hosts(pool_, used))
      note_fault({.kind = Fault::Kind::kSilentHost,
                  .code = static_cast<int>(ExitCode::kDeadline),
                  .host = host,
                  .what = host_words(host, hosts_) + " gives no sign of life, by ssh either"});
  }

  int code_after_fault() const {
    if (stop_code_ && *stop_code_ != 0) return *stop_code_;
    const Fault* root = root_cause(faults_);
    return root == nullptr ? static_cast<int>(ExitCode::kFailure) : root->code;
  }

  /// An end in order with a damaged journal is none.
  Ending ending_of(const ExitStatus& status) const {
    if (status.code != 0 || damage_.empty()) return {status, {}};
    return {{.code = static_cast<int>(ExitCode::kDisk)}, damage_};
  }

  void finish(const Ending& ending) {
    if (batch_) {
      const RunState run = run_state(parts_.ledger, plan_.run);
      const auto attempt = std::ranges::find(run.attempts, plan_.attempt, &AttemptState::attempt);
      REGATTA_ENSURE(attempt != run.attempts.end(), "an attempt that was launched is in the ledger");
      if (!ending.status.lost.empty()) give_up(run.run_dir, plan_.attempt);
      const bool asked = vitals_.interrupts > 0;
      parts_.ledger.append({batch_end_event(run, *attempt, ending.status, ending.killed_because, asked, wall_now())},
                           parts_.owner);
      return;
    }
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
    if (in_order) return stop_message_;
    const Fault* root = root_cause(faults_);
    if (root == nullptr || root->kind == Fault::Kind::kRankError)
      return stop_message_.empty() ? last_error(folder_) : stop_message_;
    const std::string said = stop_message_.empty() ? last_error_of_ranks(folder_) : stop_message_;
    return said.empty() ? root->what : root->what + "\n  " + said;
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
  bool batch_;  ///< a job of its own in a batch system
  LaunchRequest request_;
  std::vector<std::string> argv_;
  JournalFollower journal_;
  RunProgress progress_;
  Vitals vitals_;
  Timestamp launched_at_;
  SteadyTime held_since_;  ///< what is shown as time and money counts from here; of a queued job its launch
  Timestamp adopted_at_;   ///< long ago: it launched the ranks itself
  std::optional<Duration> startup_;
  std::optional<Allocation> allocation_;
  std::optional<int> stop_code_;
  std::int64_t told_ = 0;              ///< journal lines that an earlier coordinator has taken over
  std::string stop_message_, damage_;  ///< what the stop line says; what is wrong with the journal
  std::vector<std::string> hosts_;     ///< by rank, as mpirun names them; empty: on this host
  std::string launch_log_;             ///< its end, as last read
  std::vector<Fault> faults_;
  bool asked_hosts_ = false;
  std::unique_ptr<LinkServer> link_;
};

}  // namespace

namespace {

/// Of ranks on GPUs, at most; two ranks may share one.
int gpus_on_node(const Placement& place) {
  if (place.backend != Backend::kNccl) return 0;
  return std::min((place.ranks - place.cpu_ranks + place.nodes - 1) / place.nodes, place.gpus_per_node);
}

}  // namespace

RunState supervise(const Plan& plan, const PoolSpec& pool, const fs::path& run_dir, const std::string& job_text,
                   SupervisorParts parts) {
  Attempt attempt(plan, pool, run_dir, parts);
  attempt.prepare(job_text);
  attempt.run();
  parts.ledger.append({end_event(run_state(parts.ledger, plan.run), wall_now())}, parts.owner);
  return run_state(parts.ledger, plan.run);
}

void write_launch_files(const Plan& plan, const PoolSpec& pool, const LaunchRequest& request,
                        const std::string& job_text) {
  const fs::path folder = request.plan.parent_path();
  fs::create_directories(folder);
  write_file_atomically(request.run_dir / "job.yaml", job_text);
  Plan launched = plan;
  launched.launched_at = wall_now();
  write_plan(launched, folder);
  write_file_atomically(folder / "launch.sh", launch_script(launch_command(pool, request)), 0755);
  if (pool.launcher == LauncherKind::kSlurm)
    write_file_atomically(folder / kBatchScript, slurm_script(pool, request), 0755);
}

RunState run_state(const Ledger& ledger, const RunId& run) {
  State state;
  for (const auto& event : ledger.events_of(run.value)) apply(state, event);
  const auto found = state.runs.find(run.value);
  REGATTA_ENSURE(found != state.runs.end(), "a supervised run has a run event");
  return found->second;
}

RunState follow_adopted(const Plan& plan, const RunState& run, SupervisorParts parts) {
  const auto known = std::ranges::find(run.attempts, plan.attempt, &AttemptState::attempt);
  REGATTA_ENSURE(known != run.attempts.end() && known->job, "a batch job to go on with");
  const PoolSpec pool{.name = run.pool, .launcher = LauncherKind::kSlurm};
  Attempt attempt(plan, pool, run.run_dir, parts);
  attempt.go_on(*known);
  parts.ledger.append({end_event(run_state(parts.ledger, plan.run), wall_now())}, parts.owner);
  return run_state(parts.ledger, plan.run);
}

LaunchRequest attempt_launch(const Plan& plan, const fs::path& run_dir, const fs::path& worker) {
  return {.worker = worker,
          .plan = attempt_folder(run_dir, plan.attempt) / "plan.json",
          .run_dir = run_dir,
          .ranks = plan.placement.ranks,
          .ranks_by_node = ranks_by_node(plan.placement),
          .contended = plan.placement.contended,
          .forwarded = forwarded_variables(inherited_environment()),
          .job_name = slurm_job_name(plan.run.value, plan.attempt),
          .threads = plan.placement.threads,
          .cores_on_node = plan.placement.cores_per_node,
          .gpus_on_node = gpus_on_node(plan.placement),
          .whole_nodes = plan.price && plan.price->billing == Billing::kNode};
}

}  // namespace regatta
