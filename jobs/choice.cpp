// How far is too far? Measured over 40 steps on two cores, bf16 against fp32, as loss_difference() has it: mlp 0.001 to
// 0.003, cnn 0.004 to 0.017, lstm 0.0015, resnet18 0.005; by the loss itself instead of the first one the cnn's would
// be 0.066, because where a loss falls fast a step's delay is a large part of it. At the edge of divergence, where
// rounding decides where training goes: mlp 0.037 (adam, lr 0.05) and 0.078 (sgd, lr 0.3, momentum 0.9), cnn 0.10 (lr
// 0.2) and 0.35 (lr 0.4). Between the two lies the tolerance. fp64 against fp32 gives 0.0003 at most.

#include "jobs/choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/error.hpp"
#include "jobs/spec_words.hpp"

namespace regatta {

namespace {

constexpr std::size_t kSmoothed = 5;  // single losses of a batch jump
constexpr std::size_t kMostLayouts = 8;
constexpr int kMostUsefulThreads = 16;  // one operation rarely keeps more busy
constexpr std::size_t kWarmUp = 2;      // code is generated at the first step, memory found at the second

double mean_of(const double* begin, std::size_t count) {
  return std::accumulate(begin, begin + count, 0.0) / static_cast<double>(count);
}

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Layout {
  int ranks = 1, threads = 1;
  bool operator==(const Layout&) const = default;
};

std::vector<Layout> layouts(const Open& open, int cores, std::int64_t batch) {
  if (open.ranks) return {{*open.ranks, open.threads.value_or(1)}};
  if (cores < 1) return {};
  std::vector<int> ranks;
  for (int count = 1; count < cores; count *= 2) ranks.push_back(count);
  ranks.push_back(cores);
  std::vector<Layout> found;
  const auto add = [&](int count, int threads) {
    const Layout layout{count, threads};
    const bool fits = threads >= 1 && count * threads <= cores && count <= batch;
    if (fits && found.size() < kMostLayouts && std::find(found.begin(), found.end(), layout) == found.end())
      found.push_back(layout);
  };
  // What fills the machine first: more ranks compute more at once, more threads exchange less.
  for (auto count = ranks.rbegin(); count != ranks.rend(); ++count) {
    const int threads = open.threads.value_or(cores / *count);
    if (open.threads || threads <= kMostUsefulThreads) add(*count, threads);
  }
  if (!open.threads)
    for (const int count : ranks) add(count, 1);
  std::sort(found.begin(), found.end(), [](const Layout& a, const Layout& b) {
    return std::pair(a.ranks * a.threads, a.ranks) < std::pair(b.ranks * b.threads, b.ranks);
  });
  return found;
}

std::string counted(int count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// The trial with the most steps in this precision: its loss speaks for every layout, but for rounding.
const Trial* longest_in(Precision precision, const std::vector<Trial>& trials) {
  const Trial* best = nullptr;
  for (const Trial& trial : trials)
    if (trial.way.precision == precision && trial.failure.empty() &&
        (best == nullptr || trial.losses.size() > best->losses.size()))
      best = &trial;
  return best;
}

/// Its own, or where they are too few those of the longest trial in its precision.
const std::vector<double>& losses_of(const Trial& trial, const Trial* longest) {
  return trial.losses.size() >= kLeastLossSteps || longest == nullptr ? trial.losses : longest->losses;
}

TriedWay judge(const Trial& trial, const Trial* reference, const Trial* longest) {
  TriedWay tried{.way = trial.way, .rounds = static_cast<int>(trial.rounds_s.size()), .step_s = trial.step_s()};
  if (!trial.losses.empty()) {
    const std::size_t count = std::min(kSmoothed, trial.losses.size());
    tried.loss = mean_of(trial.losses.data() + (trial.losses.size() - count), count);
    if (!std::isfinite(*tried.loss)) tried.loss.reset();
  }
  if (!trial.failure.empty()) {
    tried.verdict = "failed: " + trial.failure;
  } else if (!tried.step_s) {
    tried.verdict = "not tried";
  } else if (trial.way.precision != Precision::kBf16) {
    tried.acceptable = true;
  } else if (reference == nullptr) {
    tried.verdict = "refused: no fp32 trial to compare its loss with";
  } else if (const auto difference = loss_difference(losses_of(trial, longest), reference->losses); !difference) {
    tried.verdict = fmt::format("refused: fewer than {} steps to compare its loss with fp32's", kLeastLossSteps);
  } else {
    if (std::isfinite(*difference)) tried.loss_difference = difference;
    tried.acceptable = *difference <= kLossTolerance;
    if (!std::isfinite(*difference))
      tried.verdict = "refused: its loss is not finite";
    else if (!tried.acceptable)
      tried.verdict = fmt::format("refused: its loss departs from fp32's by {:.1f} % (limit {:.0f} %)",
                                  100 * *difference, 100 * kLossTolerance);
  }
  return tried;
}

/// What is worth saying of the kept way: against the plainest one that ran, and about what was refused.
std::string reason_of(const Choice& choice, const TriedWay& kept) {
  std::string reason;
  const TriedWay* other = nullptr;  // the first of them, or when that is kept the fastest of the others
  for (const TriedWay& tried : choice.tried)
    if (tried.acceptable && tried.way != kept.way &&
        (other == nullptr || (&choice.tried.front() == &kept && *tried.step_s < *other->step_s)))
      other = &tried;
  if (other == nullptr)
    reason = "the only one that ran well";
  else if (*other->step_s > (1 + kNoise) * *kept.step_s)
    reason = fmt::format("{:.2f}x faster than {}", *other->step_s / *kept.step_s, to_text(other->way));
  else
    reason = fmt::format("as fast as {}", to_text(other->way));
  if (kept.loss_difference) reason += fmt::format("; loss within {:.1f} % of fp32's", 100 * *kept.loss_difference);
  const auto refused = std::find_if(choice.tried.begin(), choice.tried.end(),
                                    [](const TriedWay& tried) { return tried.verdict.starts_with("refused"); });
  if (refused != choice.tried.end())
    reason += fmt::format("; {} {}", to_text(refused->way.precision), refused->verdict);
  return reason;
}

Json way_json(const Way& way) {
  return {{"ranks", way.ranks}, {"threads", way.threads}, {"precision", to_text(way.precision)}};
}

Way way_from_json(const Json& json) {
  Way way{.ranks = json_get<int>(json, "ranks"),
          .threads = json_get<int>(json, "threads"),
          .precision = kPrecisions.from_json(json, "precision")};
  if (way.ranks < 1 || way.ranks > kMostRanks)
    json_bad("ranks", fmt::format("1 to {}", kMostRanks), std::to_string(way.ranks));
  if (way.threads < 1 || way.threads > kMostThreads)
    json_bad("threads", fmt::format("1 to {}", kMostThreads), std::to_string(way.threads));
  if (way.precision == Precision::kAuto) json_bad("precision", "what auto became", "auto");
  return way;
}

}  // namespace

std::string to_text(const Way& way) {
  return counted(way.ranks, "rank") + " x " + counted(way.threads, "thread") + ", " + to_text(way.precision);
}

std::vector<Way> ways_to_try(const Open& open, int cores, std::int64_t batch) {
  std::vector<Precision> precisions{open.precision};
  if (open.precision == Precision::kAuto) precisions = {Precision::kFp32, Precision::kBf16};
  std::vector<Way> ways;
  const auto found = layouts(open, cores, batch);
  for (const Precision precision : precisions)
    for (const Layout& layout : found) ways.push_back({layout.ranks, layout.threads, precision});
  return ways;
}

void Trial::add_round(const std::vector<double>& round_losses, const std::vector<double>& step_times) {
  if (round_losses.size() > losses.size()) losses = round_losses;
  const std::size_t skipped = std::min(kWarmUp, step_times.size() / 2);
  if (step_times.size() > skipped)
    rounds_s.push_back(median_of({step_times.begin() + static_cast<std::ptrdiff_t>(skipped), step_times.end()}));
}

std::optional<double> Trial::step_s() const {
  if (rounds_s.empty()) return {};
  return *std::min_element(rounds_s.begin(), rounds_s.end());
}

std::optional<double> loss_difference(const std::vector<double>& losses, const std::vector<double>& reference) {
  const std::size_t steps = std::min(losses.size(), reference.size());
  if (steps < kLeastLossSteps) return {};
  const auto finite = [](double loss) { return std::isfinite(loss); };
  if (!std::all_of(losses.begin(), losses.end(), finite) || !std::all_of(reference.begin(), reference.end(), finite))
    return std::numeric_limits<double>::infinity();
  const double start = std::abs(mean_of(reference.data(), kSmoothed));
  double largest = 0;
  for (std::size_t begin = 0; begin + kSmoothed <= steps; ++begin) {
    const double expected = mean_of(&reference[begin], kSmoothed);
    const double difference = std::abs(mean_of(&losses[begin], kSmoothed) - expected);
    if (difference > 0) largest = std::max(largest, difference / std::max(std::abs(expected), start));
  }
  return largest;
}

Choice choose(const std::vector<Trial>& trials) {
  REGATTA_ENSURE(!trials.empty(), "a choice among nothing");
  Choice choice;
  const Trial* fp32 = longest_in(Precision::kFp32, trials);
  const Trial* bf16 = longest_in(Precision::kBf16, trials);
  for (const Trial& trial : trials) choice.tried.push_back(judge(trial, fp32, bf16));
  double best = std::numeric_limits<double>::infinity();
  for (const TriedWay& tried : choice.tried)
    if (tried.acceptable) best = std::min(best, *tried.step_s);
  const auto kept = std::find_if(choice.tried.begin(), choice.tried.end(), [&](const TriedWay& tried) {
    return tried.acceptable && *tried.step_s <= (1 + kNoise) * best;
  });
  if (kept == choice.tried.end()) {
    choice.kept = choice.tried.front().way;
    choice.reason = "no trial ended well: " + choice.tried.front().verdict;
    return choice;
  }
  choice.kept = kept->way;
  for (TriedWay& tried : choice.tried) {
    if (!tried.acceptable) continue;
    const double ratio = *tried.step_s / *kept->step_s;
    if (&tried == &*kept)
      tried.verdict = "kept";
    else if (std::abs(ratio - 1) <= kNoise)
      tried.verdict = "as fast";
    else
      tried.verdict = fmt::format("{:.2f}x slower", ratio);
  }
  choice.reason = reason_of(choice, *kept);
  return choice;
}

Json to_json(const Choice& choice) {
  Json tried = Json::array();
  for (const TriedWay& way : choice.tried) {
    Json line = way_json(way.way);
    line["rounds"] = way.rounds;
    line["step_s"] = value_or_null(way.step_s);
    line["loss"] = value_or_null(way.loss);
    line["loss_difference"] = value_or_null(way.loss_difference);
    line["acceptable"] = way.acceptable;
    line["verdict"] = way.verdict;
    tried.push_back(std::move(line));
  }
  return {{"kept", way_json(choice.kept)}, {"reason", choice.reason},           {"tried", tried},
          {"took_s", choice.took_s},       {"measured_at", choice.measured_at}, {"from_cache", choice.from_cache}};
}

Choice choice_from_json(const Json& json) {
  Choice choice{.kept = way_from_json(json_at(json, "kept")),
                .reason = json_get<std::string>(json, "reason"),
                .took_s = json_seconds(json, "took_s"),
                .measured_at = json_get<std::string>(json, "measured_at"),
                .from_cache = json_get<bool>(json, "from_cache")};
  const Json& tried = json_at(json, "tried");
  if (!tried.is_array() || tried.empty()) json_bad("tried", "a list of ways", tried.dump());
  for (const Json& line : tried)
    choice.tried.push_back({.way = way_from_json(line),
                            .rounds = json_get<int>(line, "rounds"),
                            .step_s = json_maybe<double>(line, "step_s"),
                            .loss = json_maybe<double>(line, "loss"),
                            .loss_difference = json_maybe<double>(line, "loss_difference"),
                            .acceptable = json_get<bool>(line, "acceptable"),
                            .verdict = json_get<std::string>(line, "verdict")});
  return choice;
}

}  // namespace regatta
