// The anatomy and the trace of made-up steps, against figures that are easy to recompute by hand.

#include "coordinator/step_anatomy.hpp"

#include <gmock/gmock.h>

#include <map>

#include "coordinator/chrome_trace.hpp"

namespace regatta {
namespace {

using testing::ElementsAre, testing::HasSubstr, testing::Not;

constexpr std::int64_t kMs = 1'000'000;

/// Three steps of 10 ms; bucket 0 is applied inside backward in the last two. `slower_ms` more in backward, and as much
/// less in meet.
RankSteps steps_of(int rank, const std::string& host, std::int64_t slower_ms, std::int64_t wall_minus_steady = 0) {
  RankSteps steps{.run = {"01JZ0000000000000000000000"},
                  .rank = rank,
                  .ranks = 2,
                  .host = host,
                  .exchanger = "node",
                  .bucket_bytes = {4'000'000, 1'000},
                  .wall_minus_steady = Duration(wall_minus_steady),
                  .last_step = 100};
  for (int i = 0; i < 3; ++i) {
    StepLaps step{.step = i < 2 ? 11 + i : 100, .begin = Duration((1'000 + 10 * i) * kMs)};
    const auto lap = [&](Activity activity, int bucket, std::int64_t ns) {
      step.laps.push_back({activity, bucket, Duration(ns)});
    };
    lap(Activity::kForward, -1, (2 + i) * kMs);
    lap(Activity::kBackward, -1, (1 + slower_ms) * kMs);
    lap(Activity::kPublish, 0, kMs / 2);
    if (i > 0) lap(Activity::kApply, 0, kMs);
    lap(Activity::kBackward, -1, kMs);
    lap(Activity::kPublish, 1, kMs / 4);
    lap(Activity::kPublish, -1, kMs / 4);
    if (i == 0) lap(Activity::kApply, 0, kMs);
    lap(Activity::kMeet, -1, (4 - i - slower_ms) * kMs);
    steps.steps.push_back(step);
  }
  return steps;
}

TEST(StepAnatomy, IsMediansByRankAndBucket) {
  const StepAnatomy anatomy = anatomy_of({steps_of(0, "a", 0), steps_of(1, "a", 1)});
  EXPECT_THAT(anatomy.steps, ElementsAre(11, 12, 100));
  EXPECT_THAT(anatomy.wall_s, ElementsAre(testing::DoubleEq(0.010), testing::DoubleEq(0.010)));
  std::map<Activity, std::vector<double>> rows;
  double shares = 0;
  for (const auto& row : anatomy.activities) {
    rows[row.activity] = row.seconds;
    shares += row.share;
  }
  EXPECT_NEAR(shares, 1, 1e-12);
  EXPECT_THAT(rows.at(Activity::kForward), ElementsAre(testing::DoubleEq(0.003), testing::DoubleEq(0.003)));
  EXPECT_THAT(rows.at(Activity::kBackward), ElementsAre(testing::DoubleEq(0.002), testing::DoubleEq(0.003)));
  EXPECT_THAT(rows.at(Activity::kPublish), ElementsAre(testing::DoubleEq(0.001), testing::DoubleEq(0.001)));
  EXPECT_THAT(rows.at(Activity::kMeet), ElementsAre(testing::DoubleEq(0.003), testing::DoubleEq(0.002)));
  EXPECT_EQ(rows.count(Activity::kWait), 0U);
  ASSERT_EQ(anatomy.buckets.size(), 2U);
  EXPECT_EQ(anatomy.buckets[0].bytes, 4'000'000);
  EXPECT_THAT(anatomy.buckets[0].apply_s, ElementsAre(0.001, 0.001));
  EXPECT_THAT(anatomy.buckets[0].publish_s, ElementsAre(0.0005, 0.0005));
  EXPECT_DOUBLE_EQ(anatomy.buckets[0].early, 2.0 / 3);
  EXPECT_EQ(anatomy.buckets[1].early, 0);

  const std::string page = to_page(anatomy, /*colour=*/false);
  EXPECT_THAT(page, HasSubstr("medians over steps 11 to 12, 100 of 100\n"));
  EXPECT_THAT(page, HasSubstr("\nbackward    2.000   3.000   25.0 %\n"));
  EXPECT_THAT(page, HasSubstr("\nstep       10.000  10.000  100.0 %\n"));
  EXPECT_THAT(page, HasSubstr("\n     0  4.000    0.500     -  1.000   67 %\n"));
  EXPECT_THAT(page, Not(HasSubstr("reduce")));
}

TEST(StepAnatomy, OfManyRanksSaysWhoTakesLongest) {
  std::vector<RankSteps> ranks;
  for (int r = 0; r < 9; ++r) ranks.push_back(steps_of(r, "a", r == 4 ? 1 : 0));
  const std::string page = to_page(anatomy_of(ranks), /*colour=*/false);
  EXPECT_THAT(page, HasSubstr("\nbackward    2.000   2.000   3.000     4   21.1 %\n"));
}

TEST(StepAnatomy, WithoutStepsIsRefused) {
  RankSteps none = steps_of(1, "a", 0);
  none.steps.clear();
  EXPECT_THROW(anatomy_of({steps_of(0, "a", 0), none}), Error);
}

struct Span {
  std::string name;
  int pid = 0;
  double ts = 0, dur = 0;
};

std::vector<Span> spans_of(const std::string& trace) {
  std::vector<Span> spans;
  const Json json = parse_json(trace, "the trace");
  for (const Json& event : json.at("traceEvents"))
    if (event.at("ph") == "X") spans.push_back({event.at("name"), event.at("pid"), event.at("ts"), event.at("dur")});
  return spans;
}

TEST(ChromeTrace, HasEveryRankOnOneTimeLine) {
  // Rank 1's host counts from another start: its clock is 500 ms behind, and its wall clock makes up for it but 2 ms.
  auto far = steps_of(1, "b \"x\"", 1, 502 * kMs);
  for (StepLaps& step : far.steps) step.begin -= Duration(500 * kMs);
  const std::string trace = chrome_trace({steps_of(0, "a", 0), far});
  EXPECT_THAT(trace, HasSubstr("\"rank 0 on a\""));
  EXPECT_THAT(trace, HasSubstr(R"("rank 1 on b \"x\"")"));
  const std::vector<Span> spans = spans_of(trace);
  std::map<int, std::vector<Span>> steps, laps;
  for (const Span& event : spans) (event.name.starts_with("step ") ? steps : laps)[event.pid].push_back(event);
  for (const int rank : {0, 1}) {
    ASSERT_EQ(steps[rank].size(), 3U);
    EXPECT_EQ(steps[rank][0].ts, 2'000 * rank);
    EXPECT_EQ(steps[rank][2].ts, 20'000 + 2'000 * rank);
    EXPECT_EQ(steps[rank][2].dur, 10'000);
    double end = 0, sum = 0;
    for (const Span& lap : laps[rank]) {
      EXPECT_GE(lap.ts, end) << lap.name;
      end = lap.ts + lap.dur;
      sum += lap.dur;
    }
    EXPECT_EQ(sum, 30'000);
  }
  EXPECT_EQ(laps[0][2].name, "publish 0");
}

TEST(ChromeTrace, TakesOneClockForOneHost) {
  const auto spans = spans_of(chrome_trace({steps_of(0, "a", 0, 7), steps_of(1, "a", 0, 7'000'000)}));
  for (const Span& event : spans) {
    if (event.name != "step 11") continue;
    EXPECT_EQ(event.ts, 0) << "the pair was read at another time, not another clock";
  }
}

}  // namespace
}  // namespace regatta
