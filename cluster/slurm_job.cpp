// Slurm is asked one thing at a time: sbatch, then `scontrol show job` once a second, which has state and times. Where
// sbatch got no answer the job may be there all the same, so its name is looked for (squeue), and it is submitted again
// only when Slurm has answered for a while that there is none. A job that scontrol no longer knows is looked up in the
// accounts (sacct), where a site keeps them.
#include "cluster/slurm_job.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <deque>

#include "cluster/command.hpp"
#include "cluster/slurm_words.hpp"
#include "cluster/spawn.hpp"
#include "common/error.hpp"

namespace regatta {

namespace {

using namespace std::chrono_literals;

constexpr Duration kAnswerLimit = 30s;   // of a command; slurmctld's own MessageTimeout is 10 s by default
constexpr Duration kBetween = 1s;        // two looks: how late the end of a start is seen that Slurm requeues
constexpr Duration kMostBetween = 10s;   // in a long queue
constexpr Duration kNameLimit = 15s;     // a submission without an answer shows within that, or was not taken
constexpr Duration kTakenLimit = 60s;    // after a launch no sbatch of its (kAnswerLimit) is still under way
constexpr int kMostAccounts = 5;         // times that accounts may not answer, or tell of no end
constexpr Duration kEndingLimit = 60s;   // of COMPLETING: a dead node keeps a job in it for SlurmdTimeout or longer
constexpr Duration kCancelLimit = 150s;  // KillWait is 30 s by default; and a Slurm that does not answer for a while

int code_of(const SlurmView& view) {
  constexpr int kSignalBase = 128;
  if (view.exit_signal != 0) return kSignalBase + view.exit_signal;
  if (view.exit_code == 0 && view.state != "COMPLETED") return kSignalBase + SIGTERM;  // cancelled in the queue, say
  return view.exit_code;
}

}  // namespace

std::vector<std::string> slurm_environment(const std::vector<std::string>& inherited) {
  std::vector<std::string> result;
  for (const auto& entry : inherited) {
    const bool slurm = entry.starts_with("SLURM_") && !entry.starts_with("SLURM_CONF=");
    constexpr std::array<std::string_view, 6> kOther{"SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "PMI_", "PMIX_"};
    const bool other =
        std::any_of(kOther.begin(), kOther.end(), [&](auto prefix) { return entry.starts_with(prefix); });
    if (!slurm && !other) result.push_back(entry);
  }
  return result;
}

struct SlurmJob::Impl {
  enum class Question { kSubmit, kFind, kShow, kAccounts, kStop, kCancel };

  std::string name;
  std::filesystem::path script;  // empty: adopted, not to be submitted
  Allocation seen;
  std::optional<ExitStatus> status;
  std::optional<Command> command;
  Question asked = Question::kShow;
  std::deque<Question> wishes;  // to be asked next, before the next look
  SteadyTime born = std::chrono::steady_clock::now(), next_look = born;
  std::optional<SteadyTime> none_since, ending_since;  // since when Slurm has said that it has none of this name
  bool unsure = false;                                 // nobody knows whether a submission was taken
  bool named_for_long = false;                         // launched so long ago that it shows now or never
  int accounts_asked = 0;                              // in vain
  bool answered = false, looked = false, requeued = false, cancelled = false;

  std::vector<std::string> argv_of(Question question) const {
    switch (question) {
      case Question::kSubmit:
        return {"sbatch", "--parsable", script.string()};
      case Question::kFind:
        return {"squeue", "--noheader", "--states=all", "--name=" + name, "--format=%i|%T|%j"};
      case Question::kShow:
        return {"scontrol", "show", "job", "-o", seen.job};
      case Question::kAccounts:
        return {"sacct", "-P", "-n", "-X", "-D", "-j", seen.job, "-o", kSacctFields};
      case Question::kStop:
        return {"scancel", "--signal=USR1", seen.job};
      case Question::kCancel:
        return {"scancel", seen.job};
    }
    return {};
  }

  void ask(Question question) {
    asked = question;
    auto environment = slurm_environment(inherited_environment());
    if (question != Question::kSubmit) {  // a job inherits sbatch's time zone
      std::erase_if(environment, [](const std::string& entry) { return entry.starts_with("TZ="); });
      environment.emplace_back("TZ=UTC0");
    }
    command.emplace(argv_of(question), environment, kAnswerLimit);
  }

  void ask_next() {
    const SteadyTime now = std::chrono::steady_clock::now();
    const bool known = !seen.job.empty();
    if (known && !wishes.empty()) {
      const Question wish = wishes.front();
      wishes.pop_front();
      return ask(wish);
    }
    if (now < next_look) return;
    if (known) return ask(Question::kShow);
    ask(unsure || script.empty() ? Question::kFind : Question::kSubmit);
  }

  void look_again_in(Duration time) { next_look = std::chrono::steady_clock::now() + time; }

  /// Longer and longer while it only waits.
  Duration until_next_look() const {
    if (seen.state != "PENDING" || cancelled) return kBetween;
    return std::clamp<Duration>((std::chrono::steady_clock::now() - born) / 20, kBetween, kMostBetween);
  }

  void no_answer(const CommandResult& result) {
    const std::string words = result.timed_out ? "" : ": " + slurm_error_words(result.text);
    seen.note = "Slurm does not answer" + words;
    seen.answers = false;
    none_since.reset();
    look_again_in(asked == Question::kAccounts ? kBetween / 2 : 2 * kBetween);
    if (asked == Question::kStop || asked == Question::kCancel) wishes.push_back(asked);
  }

  void answer(const CommandResult& result) {
    const bool good = result.code == 0 && !result.timed_out;
    if (!good && (result.timed_out || !is_refusal(result.text))) {
      unsure = unsure || asked == Question::kSubmit;  // taken or not?
      if (asked == Question::kAccounts && ++accounts_asked == kMostAccounts) return end_unknown();
      return no_answer(result);
    }
    seen.answers = answered = true;
    switch (asked) {
      case Question::kSubmit:
        return submitted(result);
      case Question::kFind:
        return good ? found(parse_squeue(result.text)) : no_answer(result);
      case Question::kShow:
        if (const auto view = good ? parse_scontrol_job(result.text) : std::nullopt) return see(*view);
        if (!good && !is_unknown_job(result.text)) return no_answer(result);
        return look_into_accounts();
      case Question::kAccounts:
        if (const auto view = good ? parse_sacct(result.text) : std::nullopt) return see_account(*view);
        return end_unknown();
      case Question::kStop:
      case Question::kCancel:
        look_again_in(Duration(0));
        return;
    }
  }

  void submitted(const CommandResult& result) {
    if (result.code != 0) throw LaunchError("Slurm refuses the job: " + slurm_error_words(result.text));
    const auto id = parse_sbatch(result.text);
    if (!id) throw LaunchError("sbatch says no job's number: " + slurm_error_words(result.text));
    seen.job = *id;
    seen.state = "PENDING";
    look_again_in(Duration(0));
  }

  void found(const std::vector<SlurmListed>& jobs) {
    const auto job = std::find_if(jobs.begin(), jobs.end(), [&](const SlurmListed& one) { return one.name == name; });
    if (job != jobs.end()) {
      seen.job = job->id;
      seen.state = job->state;
      return look_again_in(Duration(0));
    }
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!none_since) none_since = now;
    if (now - *none_since < kNameLimit && !named_for_long) return look_again_in(kBetween);
    if (script.empty() || cancelled) return end_unknown();
    unsure = false;  // it was not taken
  }

  void look_into_accounts() {
    try {
      ask(Question::kAccounts);
    } catch (const LaunchError&) {  // a site without them
      end_unknown();
    }
  }

  void end_unknown() {
    status =
        ExitStatus{.code = static_cast<int>(ExitCode::kFailure),
                   .lost = seen.job.empty() ? "Slurm knows no job " + name : "Slurm no longer knows job " + seen.job,
                   .forgotten = true};
  }

  /// Of a job that scontrol does not know. An end reaches the accounts within seconds; where Slurm has lost its state
  /// there is none, and the account stays open for good.
  void see_account(const SlurmView& view) {
    see(view);
    look_again_in(kBetween / 2);
    if (!status && ++accounts_asked == kMostAccounts) end_unknown();
  }

  void see(const SlurmView& view) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (view.name != name) return end_unknown();  // Slurm has given its number to another one
    seen.note = view.state == "PENDING" && view.reason != "None" ? view.reason : "";
    looked = true;
    look_again_in(until_next_look());
    if (view.restarts > 0 || view.state == "REQUEUED") return see_requeued(view);
    seen.state = view.state;
    seen.submitted = view.submitted;
    seen.nodes = view.nodes;
    if (view.state != "PENDING") seen.held_from = view.started;  // of a pending one it is a forecast
    if (view.state == "COMPLETING" || is_over(view)) seen.held_to = view.ended;
    if (view.state == "COMPLETING" && !ending_since) ending_since = now;
    const bool hangs = ending_since && now - *ending_since > kEndingLimit;
    if (is_over(view) || hangs) status = ExitStatus{.code = code_of(view), .why = slurm_ending(view)};
    // Cancelled in the queue it never held anything, whatever times Slurm writes.
    if (status && view.nodes.empty()) seen.held_from = seen.held_to = std::nullopt;
  }

  /// Slurm stopped the job to start it again. Its second start would do nothing, so it is taken out of the queue; the
  /// first one ended when it was queued again, which Slurm notes as the time of its submission.
  void see_requeued(const SlurmView& view) {
    seen.state = "REQUEUED";
    // Until it is queued again Slurm shows its first submission, which is known unless nobody saw the job before.
    const bool shown = seen.submitted ? view.submitted > seen.submitted : view.submitted && view.state == "PENDING";
    if (shown)
      seen.held_to = seen.held_from ? std::max(*view.submitted, *seen.held_from) : *view.submitted;
    else if (!seen.held_to)
      seen.held_to = wall_now();
    if (!requeued || view.state == "PENDING") wishes.assign({Question::kCancel});
    requeued = true;
    look_again_in(kBetween / 4);
    if (is_over(view))
      status = ExitStatus{.code = static_cast<int>(ExitCode::kCommunication),
                          .lost = "Slurm took its nodes and queued the job again (requeue)"};
  }
};

SlurmJob::SlurmJob(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SlurmJob::~SlurmJob() = default;

std::unique_ptr<SlurmJob> SlurmJob::submit(const std::string& name, const std::filesystem::path& script) {
  auto impl = std::make_unique<Impl>();
  impl->name = name;
  impl->script = script;
  impl->seen.state = "SUBMITTING";
  impl->ask(Impl::Question::kSubmit);  // a missing sbatch is said here
  return std::unique_ptr<SlurmJob>(new SlurmJob(std::move(impl)));
}

std::unique_ptr<SlurmJob> SlurmJob::adopt(const std::string& name, const Allocation& known, Timestamp launched) {
  auto impl = std::make_unique<Impl>();
  impl->name = name;
  impl->named_for_long = wall_now() - launched > kTakenLimit;
  impl->seen = known;
  impl->seen.note.clear();
  return std::unique_ptr<SlurmJob>(new SlurmJob(std::move(impl)));
}

std::optional<ExitStatus> SlurmJob::poll() {
  Impl& job = *impl_;
  if (job.status) return job.status;
  if (job.command) {
    const auto result = job.command->poll();
    if (!result) return {};
    job.command.reset();
    job.answer(*result);
  }
  if (job.status || job.command) return job.status;
  try {
    job.ask_next();
  } catch (const LaunchError& error) {  // no process to be had at the moment, say: the job goes on
    job.no_answer({.code = -1, .text = error.what()});
  }
  return job.status;
}

void SlurmJob::request_stop() {
  impl_->wishes.push_back(Impl::Question::kStop);
}

void SlurmJob::kill() {
  impl_->wishes.push_front(Impl::Question::kCancel);
  impl_->cancelled = true;
}

Duration SlurmJob::kill_limit() const {
  return kCancelLimit;
}

std::optional<Allocation> SlurmJob::allocation() const {
  return impl_->seen;
}

bool SlurmJob::answered() const {
  return impl_->answered;
}

bool SlurmJob::looked() const {
  return impl_->looked;
}

}  // namespace regatta
