#include "common/step_laps.hpp"

#include <fmt/format.h>

#include <limits>
#include <numeric>

#include "common/enum_text.hpp"
#include "common/json.hpp"

namespace regatta {

namespace {

constexpr const char* kStepsKind = "steps";
constexpr std::int64_t kLongestNs = static_cast<std::int64_t>(kLongestSeconds) * 1'000'000'000;
constexpr std::int64_t kMostApart = 3 * kLongestNs;  // 90 years between two clocks; differences of sums fit 64 bits
constexpr int kMostRanks = 1 << 20;

constexpr EnumText<Activity, kActivities> kActivityText{{{{Activity::kData, "data"},
                                                          {Activity::kForward, "forward"},
                                                          {Activity::kBackward, "backward"},
                                                          {Activity::kPublish, "publish"},
                                                          {Activity::kWait, "wait"},
                                                          {Activity::kReduce, "reduce"},
                                                          {Activity::kApply, "apply"},
                                                          {Activity::kMeet, "meet"},
                                                          {Activity::kSum, "sum"},
                                                          {Activity::kEvaluate, "evaluate"},
                                                          {Activity::kBarrier, "barrier"},
                                                          {Activity::kOther, "other"}}}};

Duration sum_of(const std::vector<ActivityLap>& laps) {
  return std::accumulate(laps.begin(), laps.end(), Duration{},
                         [](Duration sum, const ActivityLap& lap) { return sum + lap.time; });
}

Json to_json(const std::vector<ActivityLap>& laps) {
  Json list = Json::array();
  for (const ActivityLap& lap : laps)
    list.push_back(Json::array({to_text(lap.activity), lap.bucket, lap.time.count()}));
  return list;
}

/// The number `key` from `least` to `most`.
template <class T>
T json_between(const Json& json, const char* key, T least, T most) {
  const T value = json_get<T>(json, key);
  if (value < least || value > most)
    json_bad(key, fmt::format("a number from {} to {}", least, most), std::to_string(value));
  return value;
}

std::vector<ActivityLap> laps_from_json(const Json& json, const char* key, std::size_t buckets) {
  const Json& list = json_at(json, key);
  if (!list.is_array()) json_bad(key, "a list of laps", list.dump());
  std::vector<ActivityLap> laps;
  laps.reserve(list.size());
  std::int64_t left = kLongestNs;
  for (const Json& item : list) {
    if (!item.is_array() || item.size() != 3) json_bad(key, "[activity, bucket, ns]", item.dump());
    const auto word = json_as<std::string>(item[0], key);
    const auto activity = kActivityText.find(word);
    if (!activity) json_bad(key, "one of " + kActivityText.known(), '"' + word + '"');
    const int bucket = json_as<int>(item[1], key);
    if (bucket < -1 || bucket >= static_cast<int>(buckets))
      json_bad(key, fmt::format("a bucket from -1 to {}", static_cast<int>(buckets) - 1), item[1].dump());
    const auto ns = json_as<std::int64_t>(item[2], key);
    if (ns < 0 || ns > left) json_bad(key, "nanoseconds that a clock can have counted", item[2].dump());
    left -= ns;
    laps.push_back({*activity, bucket, Duration(ns)});
  }
  return laps;
}

RankSteps head_from_json(const Json& json, std::size_t& lines) {
  if (json_maybe<std::string>(json, "kind") != kStepsKind)
    throw IoError("no steps file: its head lacks \"kind\": \"steps\"");
  if (const int schema = json_get<int>(json, "schema"); schema != kStepsSchema)
    json_bad("schema", std::to_string(kStepsSchema), std::to_string(schema));
  RankSteps head;
  head.run = RunId{json_get<std::string>(json, "run_id")};
  head.attempt = json_between(json, "attempt", 1, std::numeric_limits<int>::max());
  head.ranks = json_between(json, "ranks", 1, kMostRanks);
  head.rank = json_between(json, "rank", 0, head.ranks - 1);
  head.host = json_get<std::string>(json, "host");
  head.exchanger = json_get<std::string>(json, "exchanger");
  head.bucket_bytes = json_get<std::vector<std::int64_t>>(json, "bucket_bytes");
  for (const std::int64_t bytes : head.bucket_bytes)
    if (bytes < 0) json_bad("bucket_bytes", "bytes", std::to_string(bytes));
  head.wall_minus_steady = Duration(json_between(json, "wall_minus_steady_ns", -kMostApart, kMostApart));
  head.last_step = json_between(json, "last_step", std::int64_t{0}, std::numeric_limits<std::int64_t>::max());
  lines = json_get<std::size_t>(json, "steps");
  return head;
}

StepLaps step_from_json(const Json& json, const RankSteps& head) {
  StepLaps step{.step = json_between(json, "step", std::int64_t{1}, head.last_step),
                .begin = Duration(json_between(json, "begin_ns", std::int64_t{0}, kLongestNs)),
                .laps = laps_from_json(json, "laps", head.bucket_bytes.size()),
                .after = laps_from_json(json, "after", head.bucket_bytes.size())};
  if (head.steps.empty()) return step;
  const StepLaps& before = head.steps.back();
  if (step.step <= before.step)
    json_bad("step", fmt::format("a step after {}", before.step), std::to_string(step.step));
  if (step.begin < before.end())
    json_bad("begin_ns", fmt::format("no time before the end of step {}, {}", before.step, before.end().count()),
             std::to_string(step.begin.count()));
  return step;
}

}  // namespace

const char* to_text(Activity activity) {
  return kActivityText.text(activity);
}

Duration StepLaps::wall() const {
  return sum_of(laps);
}

Duration StepLaps::end() const {
  return begin + wall() + sum_of(after);
}

std::string steps_file_name(int rank) {
  return "steps-" + std::to_string(rank) + ".jsonl";
}

std::string to_text(const RankSteps& steps) {
  const Json head{{"schema", kStepsSchema},
                  {"kind", kStepsKind},
                  {"run_id", steps.run.value},
                  {"attempt", steps.attempt},
                  {"rank", steps.rank},
                  {"ranks", steps.ranks},
                  {"host", steps.host},
                  {"exchanger", steps.exchanger},
                  {"bucket_bytes", steps.bucket_bytes},
                  {"wall_minus_steady_ns", steps.wall_minus_steady.count()},
                  {"last_step", steps.last_step},
                  {"steps", steps.steps.size()}};
  std::string text = head.dump() + "\n";
  for (const StepLaps& step : steps.steps)
    text += Json{{"step", step.step},
                 {"begin_ns", step.begin.count()},
                 {"laps", to_json(step.laps)},
                 {"after", to_json(step.after)}}
                .dump() +
            "\n";
  return text;
}

RankSteps rank_steps_from_text(std::string_view text) {
  RankSteps steps;
  std::size_t expected = 0;
  for (std::size_t line = 1; line == 1 || !text.empty(); ++line) {
    const std::string where = fmt::format("line {}", line);
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) throw IoError(where + ": cut: expected a whole line");
    const Json json = parse_json(text.substr(0, end), where);
    text.remove_prefix(end + 1);
    try {
      if (line == 1)
        steps = head_from_json(json, expected);
      else
        steps.steps.push_back(step_from_json(json, steps));
    } catch (const IoError& error) {
      throw IoError(where + ": " + error.what());
    }
  }
  if (steps.steps.size() != expected)
    throw IoError(fmt::format("expected {} steps as its head says, found {}", expected, steps.steps.size()));
  return steps;
}

}  // namespace regatta
