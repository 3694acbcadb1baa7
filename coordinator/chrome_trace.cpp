#include "coordinator/chrome_trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "common/json.hpp"

namespace regatta {

namespace {

/// Written by hand, so that nanoseconds stay whole: "1234.567".
std::string microseconds(Duration time) {
  return fmt::format("{}.{:03}", time.count() / 1000, time.count() % 1000);
}

/// What to add to a rank's steady clock; the same for all ranks of a host, so that they are exact among each other.
std::vector<Duration> offsets(const std::vector<RankSteps>& ranks) {
  std::map<std::string, Duration> by_host;
  std::vector<Duration> offsets;
  for (const RankSteps& rank : ranks)
    offsets.push_back(by_host.emplace(rank.host, rank.wall_minus_steady).first->second);
  return offsets;
}

class Events {
 public:
  void name(const char* what, int rank, const Json& arguments) {
    add(fmt::format(R"({{"ph":"M","name":"{}","pid":{},"tid":0,"args":{}}})", what, rank, arguments.dump()));
  }
  void span(const std::string& name, int rank, Duration begin, Duration time, const Json& arguments) {
    add(fmt::format(R"({{"ph":"X","name":"{}","pid":{},"tid":0,"ts":{},"dur":{},"args":{}}})", name, rank,
                    microseconds(begin), microseconds(time), arguments.dump()));
  }
  const std::string& text() const { return text_; }

 private:
  void add(const std::string& event) { text_ += (text_.empty() ? "\n" : ",\n") + event; }
  std::string text_;
};

/// Returns where they end.
Duration add_laps(Events& events, int rank, std::int64_t step, Duration at, const std::vector<ActivityLap>& laps) {
  for (const ActivityLap& lap : laps) {
    Json arguments{{"step", step}};
    if (lap.bucket >= 0) arguments["bucket"] = lap.bucket;
    const std::string name =
        lap.bucket < 0 ? to_text(lap.activity) : fmt::format("{} {}", to_text(lap.activity), lap.bucket);
    events.span(name, rank, at, lap.time, arguments);
    at += lap.time;
  }
  return at;
}

}  // namespace

std::string chrome_trace(const std::vector<RankSteps>& ranks) {
  const std::vector<Duration> offset = offsets(ranks);
  Duration zero(std::numeric_limits<std::int64_t>::max());
  for (std::size_t r = 0; r < ranks.size(); ++r)
    if (!ranks[r].steps.empty()) zero = std::min(zero, ranks[r].steps[0].begin + offset[r]);
  Events events;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const RankSteps& rank = ranks[r];
    events.name("process_name", rank.rank, {{"name", fmt::format("rank {} on {}", rank.rank, rank.host)}});
    events.name("process_sort_index", rank.rank, {{"sort_index", rank.rank}});
    events.name("thread_name", rank.rank, {{"name", "trainer"}});
    for (const StepLaps& step : rank.steps) {
      const Duration begin = step.begin + offset[r] - zero;
      events.span(fmt::format("step {}", step.step), rank.rank, begin, step.wall(), {{"step", step.step}});
      add_laps(events, rank.rank, step.step, add_laps(events, rank.rank, step.step, begin, step.laps), step.after);
    }
  }
  const Json about =
      ranks.empty()
          ? Json::object()
          : Json{{"run_id", ranks[0].run.value}, {"attempt", ranks[0].attempt}, {"exchanger", ranks[0].exchanger}};
  return fmt::format("{{\"displayTimeUnit\":\"ms\",\"otherData\":{},\"traceEvents\":[{}\n]}}\n", about.dump(),
                     events.text());
}

}  // namespace regatta
