#include "coordinator/import_rules.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/json.hpp"
#include "common/yaml_reader.hpp"

namespace regatta {

namespace {

constexpr int kMostCores = 65'536, kMostGpus = 1'024;  // jobs/SCHEMA.md
constexpr double kLeastSecondsPerSample = 1e-12, kMostSecondsPerSample = 1e9, kMostJoules = 1e15;
constexpr auto kClockStep = std::chrono::seconds(1);  // time daemons may set a clock back, by less than this

void expect_name(const char* key, const std::string& found) {
  if (!is_plain_name(found)) json_bad(key, "1 to 64 letters, digits, '.', '_' or '-'", Json(found).dump());
}

void expect_at_most(const char* key, int most, int found) {
  if (found > most) json_bad(key, "at most " + std::to_string(most), std::to_string(found));
}

void expect_seconds(const std::string& key, double found) {
  if (!(found >= 0 && found <= kLongestSeconds)) json_bad(key, "seconds from 0 to 30 years", fmt::format("{}", found));
}

/// The lines of one attempt, in order.
class JournalRules {
 public:
  JournalRules(const Plan& plan, int epochs_before) : plan_(plan), epochs_before_(epochs_before) {}

  void check(const JournalLine& line) {
    if (!first_) first_ = last_ = line.at;
    if (line.at < *last_ - kClockStep) json_bad("at", "no earlier than " + to_text(*last_), to_text(line.at));
    last_ = std::max(*last_, line.at);
    expect_seconds("at (seconds since the start line)", seconds(*last_ - *first_));
    if (const auto* start = std::get_if<record::Start>(&line.body)) check_start(*start);
    if (const auto* shares = std::get_if<record::Shares>(&line.body)) check_shares(*shares);
    if (const auto* epoch = std::get_if<record::Epoch>(&line.body)) check_epoch(*epoch);
  }

 private:
  void check_start(const record::Start& start) {
    if (start.ranks.size() != static_cast<std::size_t>(plan_.placement.ranks))
      json_bad("ranks", fmt::format("{}, as the plan says", plan_.placement.ranks), std::to_string(start.ranks.size()));
    expect_at_most("threads", kMostThreads, start.threads);
    expect_seconds("startup_s", start.startup_s);
    if (start.micro_batch && *start.micro_batch < 1)
      json_bad("micro_batch", "at least 1", std::to_string(*start.micro_batch));
  }

  void check_shares(const record::Shares& shares) {
    if (shares.weights.size() != static_cast<std::size_t>(plan_.placement.ranks))
      json_bad("weights", fmt::format("{}, one a rank", plan_.placement.ranks), std::to_string(shares.weights.size()));
    const auto positive = [](std::int64_t weight) { return weight > 0; };
    if (std::none_of(shares.weights.begin(), shares.weights.end(), positive))
      json_bad("weights", "one above 0", "none");
    if (shares.from_epoch < std::max(1, last_epoch_) || shares.from_step < last_shares_step_)
      json_bad("from_step",
               fmt::format("step {} or a later one, of epoch {} or a later one", last_shares_step_,
                           std::max(1, last_epoch_)),
               fmt::format("step {} of epoch {}", shares.from_step, shares.from_epoch));
    last_shares_step_ = shares.from_step;
    for (const double seconds : shares.seconds_per_sample)
      if (seconds != 0 && !(seconds >= kLeastSecondsPerSample && seconds <= kMostSecondsPerSample))
        json_bad("seconds_per_sample", "0, or 1e-12 to 1e9", fmt::format("{}", seconds));
  }

  /// Epochs count up by one; an attempt begins where an earlier one may have left a checkpoint.
  void check_epoch(const record::Epoch& epoch) {
    const int least = last_epoch_ == 0 ? 1 : last_epoch_ + 1;
    const int most = last_epoch_ == 0 ? epochs_before_ + 1 : last_epoch_ + 1;
    if (epoch.epoch < least || epoch.epoch > most)
      json_bad("epoch", least == most ? std::to_string(least) : fmt::format("{} to {}", least, most),
               std::to_string(epoch.epoch));
    last_epoch_ = epoch.epoch;
    if (epoch.samples < 0) json_bad("samples", "at least 0", std::to_string(epoch.samples));
    expect_seconds("wall_s", epoch.wall_s);
    expect_seconds("train_s", epoch.train_s);
    if (const auto& late = epoch.stragglers) {
      for (const int rank : late->ranks)
        if (rank < 0 || rank >= plan_.placement.ranks)
          json_bad("stragglers.ranks", fmt::format("ranks below {}", plan_.placement.ranks), std::to_string(rank));
      if (late->waited_s > epoch.wall_s)
        json_bad("stragglers.waited_s", "at most the epoch's wall_s", fmt::format("{}", late->waited_s));
    }
    if (epoch.energy_j.is_object()) {
      const double joules = json_get<double>(epoch.energy_j, "value");
      if (!(joules >= 0 && joules <= kMostJoules)) json_bad("energy_j.value", "0 to 1e15 J", fmt::format("{}", joules));
    }
    for (std::size_t phase = 0; phase < kPhases; ++phase)
      expect_seconds(std::string("seconds.") + to_text(static_cast<Phase>(phase)), epoch.seconds.values[phase]);
  }

  const Plan& plan_;
  int epochs_before_;
  std::optional<Timestamp> first_, last_;
  int last_epoch_ = 0;
  std::int64_t last_shares_step_ = 0;
};

}  // namespace

void check_imported_plan(const Plan& plan) {
  expect_name("placement.configuration", plan.placement.configuration);
  expect_name("placement.pool", plan.placement.pool);
  expect_name("training.name", plan.training.name);
  expect_at_most("placement.nodes", kMostRanks, plan.placement.nodes);
  expect_at_most("placement.ranks", kMostRanks, plan.placement.ranks);
  expect_at_most("placement.threads", kMostThreads, plan.placement.threads);
  expect_at_most("placement.cores_per_node", kMostCores, plan.placement.cores_per_node);
  expect_at_most("placement.gpus_per_node", kMostGpus, plan.placement.gpus_per_node);
  if (plan.price && (plan.price->usd_per_node_hour < NanoUsd{} || plan.price->usd_per_node_hour > kMostUsdPerNodeHour))
    json_bad("price.usd_per_node_hour", "0 to " + to_decimal(kMostUsdPerNodeHour) + " USD",
             to_decimal(plan.price->usd_per_node_hour));
}

void check_imported_journal(const Plan& plan, const std::vector<JournalLine>& lines, int epochs_before) {
  JournalRules rules(plan, epochs_before);
  for (const auto& line : lines) {
    try {
      rules.check(line);
    } catch (const IoError& error) {
      throw IoError(fmt::format("line {}: {}", line.seq, error.what()));
    }
  }
}

int complete_epochs(const std::vector<JournalLine>& lines) {
  return static_cast<int>(std::count_if(lines.begin(), lines.end(), [](const JournalLine& line) {
    const auto* epoch = std::get_if<record::Epoch>(&line.body);
    return epoch != nullptr && epoch->complete;
  }));
}

}  // namespace regatta
