#include "coordinator/step_anatomy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "common/error.hpp"
#include "common/printable.hpp"
#include "coordinator/figures.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

namespace {

constexpr std::size_t kMostRankColumns = 8;  // more do not fit a terminal: least, median and most then

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// Median over the rank's steps of the sum of the laps that `is_meant(lap)`.
template <class IsMeant>
double median_of(const RankSteps& rank, const IsMeant& is_meant) {
  std::vector<double> sums;
  for (const StepLaps& step : rank.steps) {
    Duration sum{};
    for (const ActivityLap& lap : step.laps)
      if (is_meant(lap)) sum += lap.time;
    sums.push_back(seconds(sum));
  }
  return median(std::move(sums));
}

template <class IsMeant>
std::vector<double> medians_of(const std::vector<RankSteps>& ranks, const IsMeant& is_meant) {
  std::vector<double> medians;
  for (const RankSteps& rank : ranks) medians.push_back(median_of(rank, is_meant));
  return medians;
}

std::vector<std::int64_t> common_steps(const std::vector<RankSteps>& ranks) {
  std::vector<std::int64_t> common;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    std::vector<std::int64_t> own, both;
    for (const StepLaps& step : ranks[r].steps) own.push_back(step.step);
    std::set_intersection(own.begin(), own.end(), common.begin(), common.end(), std::back_inserter(both));
    common = r == 0 ? own : both;
  }
  return common;
}

double total_s(const std::vector<RankSteps>& ranks, Activity activity) {
  Duration total{};
  for (const RankSteps& rank : ranks)
    for (const StepLaps& step : rank.steps)
      for (const ActivityLap& lap : step.laps)
        if (lap.activity == activity) total += lap.time;
  return seconds(total);
}

bool is_early(const StepLaps& step, int bucket) {
  bool applied = false;
  for (const ActivityLap& lap : step.laps) {
    if (lap.activity == Activity::kApply && lap.bucket == bucket) applied = true;
    if (lap.activity == Activity::kBackward && applied) return true;
  }
  return false;
}

double early_share(const std::vector<RankSteps>& ranks, int bucket) {
  std::int64_t early = 0, all = 0;
  for (const RankSteps& rank : ranks) {
    all += static_cast<std::int64_t>(rank.steps.size());
    early += std::count_if(rank.steps.begin(), rank.steps.end(),
                           [&](const StepLaps& step) { return is_early(step, bucket); });
  }
  return static_cast<double>(early) / static_cast<double>(all);
}

std::string ms(double seconds) {
  return seconds == 0 ? "-" : fmt::format("{:.3f}", 1e3 * seconds);
}

double most(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}

/// "11 to 30, 81 to 100"
std::string ranges(const std::vector<std::int64_t>& steps) {
  std::string text;
  for (std::size_t i = 0; i < steps.size();) {
    std::size_t end = i + 1;
    while (end < steps.size() && steps[end] == steps[end - 1] + 1) ++end;
    text += text.empty() ? "" : ", ";
    text += end == i + 1 ? fmt::format("{}", steps[i]) : fmt::format("{} to {}", steps[i], steps[end - 1]);
    i = end;
  }
  return text;
}

std::vector<Cell> rank_cells(const char* name, const std::vector<double>& by_rank, double share, Style style) {
  std::vector<Cell> cells{{name, style}};
  if (by_rank.size() <= kMostRankColumns) {
    for (const double value : by_rank) cells.emplace_back(ms(value), style);
  } else {
    const auto slowest = std::max_element(by_rank.begin(), by_rank.end());
    cells.emplace_back(ms(*std::min_element(by_rank.begin(), by_rank.end())), style);
    cells.emplace_back(ms(median(by_rank)), style);
    cells.emplace_back(ms(*slowest), style);
    cells.emplace_back(std::to_string(slowest - by_rank.begin()), style);
  }
  cells.emplace_back(fmt::format("{:.1f} %", 100 * share), style);
  return cells;
}

std::string activities_table(const StepAnatomy& anatomy, bool colour) {
  std::vector<TextTable::Column> columns{{"ms a step"}};
  if (anatomy.wall_s.size() <= kMostRankColumns)
    for (std::size_t r = 0; r < anatomy.wall_s.size(); ++r)
      columns.push_back({fmt::format("rank {}", r), Align::kRight});
  else
    for (const char* title : {"least", "median", "most", "rank"}) columns.push_back({title, Align::kRight});
  columns.push_back({"share", Align::kRight});
  TextTable table(columns);
  for (const StepAnatomy::Row& row : anatomy.activities)
    table.add(rank_cells(to_text(row.activity), row.seconds, row.share, Style::kPlain));
  table.add(rank_cells("step", anatomy.wall_s, 1, Style::kBold));
  return table.text(colour);
}

std::string buckets_table(const StepAnatomy& anatomy, bool colour) {
  const bool reduces = std::any_of(anatomy.buckets.begin(), anatomy.buckets.end(),
                                   [](const auto& bucket) { return most(bucket.reduce_s) > 0; });
  std::vector<TextTable::Column> columns{{"bucket", Align::kRight}};
  for (const char* title : {"MB", "publish", "wait", "reduce", "apply", "early"})
    if (reduces || std::string_view(title) != "reduce") columns.push_back({title, Align::kRight});
  TextTable table(columns);
  for (std::size_t b = 0; b < anatomy.buckets.size(); ++b) {
    const StepAnatomy::Bucket& bucket = anatomy.buckets[b];
    std::vector<Cell> cells{std::to_string(b), fmt::format("{:.3f}", static_cast<double>(bucket.bytes) / 1e6),
                            ms(most(bucket.publish_s)), ms(most(bucket.wait_s))};
    if (reduces) cells.emplace_back(ms(most(bucket.reduce_s)));
    cells.emplace_back(ms(most(bucket.apply_s)));
    cells.emplace_back(fmt::format("{:.0f} %", 100 * bucket.early));
    table.add(std::move(cells));
  }
  return table.text(colour);
}

}  // namespace

StepAnatomy anatomy_of(const std::vector<RankSteps>& ranks) {
  REGATTA_ENSURE(!ranks.empty(), "a run has ranks");
  for (const RankSteps& rank : ranks)
    if (rank.steps.empty())
      throw Error(ExitCode::kFailure, fmt::format("rank {} kept no step: the run ended after {} steps\n  let it train "
                                                  "for more of them, or with fewer micro-batches each",
                                                  rank.rank, rank.last_step));
  StepAnatomy anatomy{.run = ranks[0].run,
                      .attempt = ranks[0].attempt,
                      .exchanger = ranks[0].exchanger,
                      .last_step = ranks[0].last_step,
                      .steps = common_steps(ranks),
                      .wall_s = medians_of(ranks, [](const ActivityLap&) { return true; })};
  double all_s = 0;
  for (std::size_t i = 0; i < kActivities; ++i) {
    const auto activity = static_cast<Activity>(i);
    const double own_s = total_s(ranks, activity);
    all_s += own_s;
    if (own_s > 0)
      anatomy.activities.push_back(
          {.activity = activity,
           .seconds = medians_of(ranks, [=](const ActivityLap& lap) { return lap.activity == activity; }),
           .share = own_s});
  }
  for (StepAnatomy::Row& row : anatomy.activities) row.share /= all_s;
  for (int b = 0; b < static_cast<int>(ranks[0].bucket_bytes.size()); ++b) {
    const auto of = [&](Activity activity) {
      return medians_of(ranks, [=](const ActivityLap& lap) { return lap.activity == activity && lap.bucket == b; });
    };
    anatomy.buckets.push_back({.bytes = ranks[0].bucket_bytes[static_cast<std::size_t>(b)],
                               .publish_s = of(Activity::kPublish),
                               .wait_s = of(Activity::kWait),
                               .reduce_s = of(Activity::kReduce),
                               .apply_s = of(Activity::kApply),
                               .early = early_share(ranks, b)});
  }
  return anatomy;
}

Json to_json(const StepAnatomy& anatomy) {
  Json activities = Json::array(), buckets = Json::array();
  for (const StepAnatomy::Row& row : anatomy.activities)
    activities.push_back({{"activity", to_text(row.activity)}, {"seconds", row.seconds}, {"share", row.share}});
  for (const StepAnatomy::Bucket& bucket : anatomy.buckets)
    buckets.push_back({{"bytes", bucket.bytes},
                       {"publish_s", bucket.publish_s},
                       {"wait_s", bucket.wait_s},
                       {"reduce_s", bucket.reduce_s},
                       {"apply_s", bucket.apply_s},
                       {"early", bucket.early}});
  return {{"run_id", anatomy.run.value},    {"attempt", anatomy.attempt}, {"exchanger", anatomy.exchanger},
          {"last_step", anatomy.last_step}, {"steps", anatomy.steps},     {"step_s", anatomy.wall_s},
          {"activities", activities},       {"buckets", buckets}};
}

std::string to_page(const StepAnatomy& anatomy, bool colour) {
  std::string text =
      fmt::format("run {}, attempt {}, exchanger {}: medians over steps {} of {}\n\n", anatomy.run.value,
                  anatomy.attempt, printable(anatomy.exchanger), ranges(anatomy.steps), anatomy.last_step);
  text += activities_table(anatomy, colour);
  if (anatomy.buckets.empty()) return text;
  return text + "\nBuckets, ms on the rank that takes longest; early: applied while backward still ran\n\n" +
         buckets_table(anatomy, colour);
}

}  // namespace regatta
