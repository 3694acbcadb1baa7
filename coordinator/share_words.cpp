#include "coordinator/share_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "coordinator/figures.hpp"
#include "coordinator/run_bill.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

namespace {

constexpr double kFast = 0.8;            // of the fastest rank's speed
constexpr std::size_t kMostRanks = 8;    // by name in a line
constexpr std::size_t kMostChanges = 5;  // in a line

/// "a : b : c", the first few.
template <class Values, class Text>
std::string by_rank(const Values& values, const Text& text) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < std::min(values.size(), kMostRanks); ++i) parts.push_back(text(values[i]));
  return fmt::format("{}{}", fmt::join(parts, " : "),
                     values.size() > kMostRanks ? fmt::format(" : ... of {} ranks", values.size()) : "");
}

std::string percent_by_rank(const record::Shares& shares) {
  double sum = 0;
  for (const std::int64_t weight : shares.weights) sum += static_cast<double>(weight);
  const auto part = [&](std::int64_t weight) {
    return fmt::format("{:.1f}", sum > 0 ? 100 * static_cast<double>(weight) / sum : 0);
  };
  return by_rank(shares.weights, part) + " %";
}

std::string speeds_by_rank(const record::Shares& shares) {
  if (shares.seconds_per_sample.empty()) return "-";
  return by_rank(shares.seconds_per_sample, [](double s) { return s > 0 ? figure(1 / s) : "-"; });
}

const record::Shares* last_measured(const AttemptState& attempt) {
  const auto found = std::find_if(attempt.shares.rbegin(), attempt.shares.rend(),
                                  [](const record::Shares& shares) { return !shares.seconds_per_sample.empty(); });
  return found == attempt.shares.rend() ? nullptr : &*found;
}

const record::Epoch* last_complete(const AttemptState& attempt) {
  const auto found = std::find_if(attempt.epochs.rbegin(), attempt.epochs.rend(),
                                  [](const record::Epoch& epoch) { return epoch.complete && epoch.samples > 0; });
  return found == attempt.epochs.rend() ? nullptr : &*found;
}

std::string names_of(const std::vector<int>& ranks) {
  if (ranks.size() == 1) return fmt::format("rank {}", ranks[0]);
  if (ranks.size() > kMostRanks) return fmt::format("the {} fast ranks", ranks.size());
  return fmt::format("ranks {}", fmt::join(ranks, ", "));
}

std::string cpus_sentence(const SlowRanksWorth& worth, const CpuRanks& cpus) {
  const std::string gpus = worth.fast.size() == 1 ? "the GPU" : fmt::format("the {} GPUs", worth.fast.size());
  std::string text = fmt::format("adding the CPUs {}: {} samples/s with all {} ranks, with {} alone {} (estimated)",
                                 worth.paid() ? "paid" : "did not pay", figure(worth.all_samples_per_s), worth.ranks,
                                 gpus, figure(worth.fast_samples_per_s));
  if (cpus.times_billed && worth.all_samples_per_s > 0)
    text += fmt::format("; a sample costs {} as much (estimated)",
                        times(*cpus.times_billed * worth.fast_samples_per_s / worth.all_samples_per_s));
  return text;
}

}  // namespace

CpuRanks cpu_ranks_of(const RunState& run) {
  CpuRanks cpus{.count = run.cpu_ranks};
  if (run.cpu_ranks == 0 || !run.price) return cpus;
  Holding gpus_alone = holding_of(run);
  gpus_alone.ranks -= gpus_alone.cpu_ranks;
  gpus_alone.cpu_ranks = 0;
  const bool by_slot = run.price->billing == Billing::kSlot;
  cpus.times_billed = by_slot ? slot_share(holding_of(run)).value() / slot_share(gpus_alone).value() : 1;
  return cpus;
}

std::optional<SlowRanksWorth> slow_ranks_worth(const AttemptState& attempt, int cpu_ranks) {
  const record::Shares* const shares = last_measured(attempt);
  const record::Epoch* const epoch = last_complete(attempt);
  if (shares == nullptr || epoch == nullptr) return {};
  std::vector<double> speeds;
  for (const double s : shares->seconds_per_sample) speeds.push_back(s > 0 ? 1 / s : 0);
  const double fastest = *std::max_element(speeds.begin(), speeds.end());
  if (!(fastest > 0)) return {};
  SlowRanksWorth worth{.ranks = static_cast<int>(speeds.size()), .all_samples_per_s = epoch->samples_per_s};
  const auto on_gpus = static_cast<std::ptrdiff_t>(speeds.size()) - cpu_ranks;
  double fast_speed = 0;
  for (std::size_t rank = 0; rank < speeds.size(); ++rank)
    if (cpu_ranks > 0 ? std::cmp_less(rank, on_gpus) : speeds[rank] >= kFast * fastest) {
      worth.fast.push_back(static_cast<int>(rank));
      fast_speed += speeds[rank];
    }
  if (!(fast_speed > 0)) return {};
  worth.slowest = *std::min_element(speeds.begin(), speeds.end()) / fastest;
  const PhaseSeconds& seconds = epoch->seconds;
  const double beside_s = seconds[Phase::kDataWait] + seconds[Phase::kOptimizer] + seconds[Phase::kOther];
  const auto samples = static_cast<double>(epoch->samples);
  worth.fast_samples_per_s = samples / (samples / fast_speed + beside_s);
  return worth;
}

std::string worth_sentence(const AttemptState& attempt, const CpuRanks& cpus) {
  const auto worth = slow_ranks_worth(attempt, cpus.count);
  if (!worth) return "";
  if (cpus.count > 0) return cpus_sentence(*worth, cpus);
  if (worth->fast.size() == static_cast<std::size_t>(worth->ranks))
    return fmt::format("no rank is slow: the slowest has {:.0f} % of the fastest's speed (estimated)",
                       100 * worth->slowest);
  return fmt::format("the slow ranks {}: {} samples/s with all {} ranks, with {} alone {} (estimated)",
                     worth->paid() ? "paid" : "did not pay", figure(worth->all_samples_per_s), worth->ranks,
                     names_of(worth->fast), figure(worth->fast_samples_per_s));
}

std::string shares_history(const AttemptState& attempt) {
  std::vector<const record::Shares*> changes;
  for (const record::Shares& shares : attempt.shares)
    if (changes.empty() || percent_by_rank(*changes.back()) != percent_by_rank(shares)) changes.push_back(&shares);
  std::vector<std::string> parts;
  if (changes.size() > kMostChanges) {
    parts.emplace_back("...");
    changes.erase(changes.begin(), changes.end() - static_cast<std::ptrdiff_t>(kMostChanges));
  }
  for (const record::Shares* shares : changes) {
    const bool first = shares->from_step <= 1 && shares->from_epoch <= 1;
    parts.push_back((first ? "" : fmt::format("from epoch {}, step {}: ", shares->from_epoch, shares->from_step)) +
                    percent_by_rank(*shares));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string shares_words(const ComparisonRow& row) {
  if (row.shares.empty()) return "";
  return "shares " + row.shares + (row.slow_ranks.empty() ? "" : "; " + row.slow_ranks);
}

std::string shares_table(const AttemptState& attempt, bool colour) {
  if (attempt.shares.empty()) return "";
  TextTable table({{"from epoch", Align::kRight},
                   {"step", Align::kRight},
                   {"shares by rank"},
                   {"samples/s by rank (estimated from compute)"}});
  for (const record::Shares& shares : attempt.shares)
    table.add({std::to_string(shares.from_epoch), shares.from_step > 0 ? std::to_string(shares.from_step) : "-",
               percent_by_rank(shares), speeds_by_rank(shares)});
  return "\n" + table.text(colour);
}

}  // namespace regatta
