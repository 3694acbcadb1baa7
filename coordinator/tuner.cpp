// A trial is a launch, and start-up alone takes a second or two, so the ways are not all tried alike. fp32 comes first,
// beginning with the layout that uses all cores by ranks, which is most often the fastest; a layout much slower than
// the best so far is cut short. bf16 is tried where fp32 was fast, long enough to compare losses. What comes close to
// the best is tried again, in turn, so that a neighbour's noise does not decide; each way counts by its best round.

#include "coordinator/tuner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "common/features.hpp"
#include "coordinator/choice_cache.hpp"
#include "coordinator/choice_words.hpp"
#include "coordinator/trial_run.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

constexpr double kTooSlow = 1.5;          // times the best: not worth all its steps
constexpr double kWorthBf16 = 1.5;        // times the best fp32: bf16 changes which layout is best by less
constexpr double kClose[] = {1.25, 1.1};  // times the best: tried again, in a second and in a third round
constexpr double kEnough_s = 30;          // no further round after so long
constexpr std::int64_t kFewSteps = 3;     // one warms up, two are timed

class Tuner {
 public:
  Tuner(const Preparation& preparation, const PlannedRow& row, const TunerParts& parts)
      : preparation_(preparation), row_(row), parts_(parts), begin_(std::chrono::steady_clock::now()) {
    for (const Way& way : row.ways) trials_.push_back({.way = way});
  }

  /// Nothing when interrupted.
  std::optional<Choice> decide() {
    first_round();
    more_rounds();
    if (interrupted_) return {};
    Choice choice = choose(trials_);
    choice.took_s = took_s();
    choice.measured_at = to_text(wall_now());
    return choice;
  }

 private:
  double took_s() const { return seconds(std::chrono::steady_clock::now() - begin_); }

  /// Of those tried in this precision, or in any.
  double best(std::optional<Precision> precision = {}) const {
    double least = std::numeric_limits<double>::infinity();
    for (const Trial& trial : trials_)
      if (trial.failure.empty() && trial.step_s() && (!precision || trial.way.precision == *precision))
        least = std::min(least, *trial.step_s());
    return least;
  }

  void first_round() {
    for (auto trial = trials_.rbegin(); trial != trials_.rend(); ++trial)
      if (trial->way.precision != Precision::kBf16 || !both_precisions()) run(*trial);
    for (auto trial = trials_.rbegin(); trial != trials_.rend(); ++trial)
      if (trial->rounds_s.empty() && trial->failure.empty() && is_worth_bf16(trial->way)) run(*trial);
  }

  bool both_precisions() const { return trials_.front().way.precision != trials_.back().way.precision; }

  /// The first one of a precision is long enough to tell how its loss goes, the others how fast they are.
  TrialLimits limits_of(const Trial& next) const {
    TrialLimits limits;
    const bool loss_is_known = std::any_of(trials_.begin(), trials_.end(), [&](const Trial& trial) {
      return trial.way.precision == next.way.precision && trial.losses.size() >= kLeastLossSteps;
    });
    if (!loss_is_known) return limits;
    limits.least_steps = kFewSteps;
    limits.seconds = std::min(limits.seconds, kTooSlow * best() * static_cast<double>(limits.most_steps));
    return limits;
  }

  bool is_worth_bf16(const Way& way) const {
    const auto same = std::find_if(trials_.begin(), trials_.end(), [&](const Trial& other) {
      return other.way == Way{way.ranks, way.threads, Precision::kFp32};
    });
    return same != trials_.end() && same->step_s() && *same->step_s() <= kWorthBf16 * best(Precision::kFp32);
  }

  void more_rounds() {
    for (const double close : kClose) {
      if (interrupted_ || took_s() > kEnough_s) return;
      const Choice so_far = choose(trials_);
      double least = std::numeric_limits<double>::infinity();
      for (const TriedWay& tried : so_far.tried)
        if (tried.acceptable) least = std::min(least, *tried.step_s);
      std::vector<Trial*> again;
      for (std::size_t i = 0; i < trials_.size(); ++i)
        if (so_far.tried[i].acceptable && *so_far.tried[i].step_s <= close * least) again.push_back(&trials_[i]);
      if (again.size() < 2) return;
      for (Trial* trial : again) run(*trial);
    }
  }

  void run(Trial& trial) {
    if (interrupted_) return;
    const RunId id = new_run_id();
    Plan plan = plan_run(preparation_, in_way(preparation_.job, row_, trial.way), id, {}, 1);
    plan.trial = limits_of(trial);
    plan.training.train.evaluate = Evaluate::kNever;
    plan.training.stop = {.epochs = plan.training.stop.epochs};  // schedules need to know it
    plan.price.reset();
    const TrialOutcome outcome = run_trial(plan, row_.pool, parts_.home / "trials" / id.value, parts_.worker, parts_.reactor);
    interrupted_ |= outcome.interrupted;
    if (trial.rounds_s.empty()) trial.failure = outcome.failure;  // one good round is enough
    if (outcome.failure.empty())
      trial.add_round(outcome.losses, outcome.step_s);
    else if (trial.losses.empty())
      trial.losses = outcome.losses;
  }

  const Preparation& preparation_;
  const PlannedRow& row_;
  const TunerParts& parts_;
  SteadyTime begin_;
  std::vector<Trial> trials_;  // in order of preference
  bool interrupted_ = false;
};

/// What a coordinator that was killed left behind. A trial takes minutes at most, so a day is nobody's.
void sweep_trials(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto written = fs::last_write_time(entry.path(), error);
    if (!error && fs::file_time_type::clock::now() - written > std::chrono::hours(24))
      fs::remove_all(entry.path(), error);
  }
}

double load_average() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

Json key_of(const Preparation& preparation, const PlannedRow& row, const Inventory& machine) {
  return choice_key(plan_run(preparation, row, new_run_id(), {}, 1), row.ways, machine,
                    to_text(features_from_environment()));
}

}  // namespace

bool tune(Preparation& preparation, const TunerParts& parts) {
  sweep_trials(parts.home / "trials");
  const ChoiceCache cache(parts.home);
  for (PlannedRow& row : preparation.rows) {
    if (row.ways.empty()) continue;
    const Json key = key_of(preparation, row, parts.machine);
    std::optional<Choice> choice;
    if (!parts.retune) {
      auto found = cache.find(key, row.ways);
      if (!found.trouble.empty()) parts.display.say(found.trouble + "; tried again");
      choice = std::move(found.choice);
    }
    if (!choice) {
      parts.display.note(fmt::format("{}: trying {} ways to run it", row.configuration.name, row.ways.size()));
      if (const auto words = busy_words(load_average(), parts.machine.host_cores); !words.empty())
        parts.display.note(words);
      choice = Tuner(preparation, row, parts).decide();
      if (!choice) return false;
      if (!parts.contended) cache.keep(key, *choice);
    }
    parts.display.note(choice_text(row.configuration.name, *choice, row.configuration.train.batch));
    settle(preparation.job, row, *choice);
  }
  return true;
}

void settle_from_cache(Preparation& preparation, const fs::path& home, const Inventory& machine) {
  const ChoiceCache cache(home);
  for (PlannedRow& row : preparation.rows)
    if (!row.ways.empty())
      if (const auto found = cache.find(key_of(preparation, row, machine), row.ways); found.choice)
        settle(preparation.job, row, *found.choice);
}

}  // namespace regatta
