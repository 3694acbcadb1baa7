// Which steps a trace keeps, and that its laps are those of the clock; time is made by the test.

#include "worker/step_trace.hpp"

#include <gmock/gmock.h>

namespace regatta {
namespace {

using testing::ElementsAre;

class StepTraceTest : public testing::Test {
 protected:
  SteadyTime at(std::int64_t ns) const { return SteadyTime(Duration(ns)); }
  void pass(std::int64_t ns) { now_ += ns; }
  void lap(Activity activity, int bucket, std::int64_t ns) {
    trace_.enter({activity, bucket}, at(now_));
    pass(ns);
  }
  /// A step of `laps` changes, 10 ns each.
  void step(std::int64_t number, int laps = 4) {
    trace_.begin_step(number, at(now_));
    for (int i = 0; i < laps; ++i) lap(i % 2 == 0 ? Activity::kBackward : Activity::kPublish, i, 10);
    trace_.enter({}, at(now_));
    trace_.end_step(at(now_));
  }
  std::vector<std::int64_t> kept() {
    trace_.finish(at(now_));
    std::vector<std::int64_t> numbers;
    for (const StepLaps& step : trace_.steps()) numbers.push_back(step.step);
    return numbers;
  }
  static std::vector<std::int64_t> numbers(std::int64_t first, std::int64_t last) {
    std::vector<std::int64_t> list;
    for (; first <= last; ++first) list.push_back(first);
    return list;
  }

  StepTrace trace_;
  std::int64_t now_ = 1'000;
};

TEST_F(StepTraceTest, LapsAreThoseOfTheClock) {
  lap(Activity::kBarrier, -1, 5);
  trace_.enter({}, at(now_));
  trace_.begin_step(1, at(now_));
  pass(3);  // still in `other`
  lap(Activity::kForward, -1, 100);
  lap(Activity::kForward, -1, 50);
  lap(Activity::kPublish, 0, 7);
  lap(Activity::kPublish, 1, 8);
  lap(Activity::kApply, 1, 0);  // took no time
  lap(Activity::kOther, -1, 2);
  trace_.end_step(at(now_));
  pass(1);
  lap(Activity::kEvaluate, -1, 900);
  trace_.finish(at(now_));
  lap(Activity::kBackward, -1, 4);  // too late
  const auto steps = trace_.steps();
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].step, 1);
  EXPECT_EQ(steps[0].begin, Duration(1'005));
  EXPECT_EQ(steps[0].wall(), Duration(170));
  EXPECT_THAT(
      steps[0].laps,
      ElementsAre(ActivityLap{Activity::kOther, -1, Duration(3)}, ActivityLap{Activity::kForward, -1, Duration(150)},
                  ActivityLap{Activity::kPublish, 0, Duration(7)}, ActivityLap{Activity::kPublish, 1, Duration(8)},
                  ActivityLap{Activity::kOther, -1, Duration(2)}));
  EXPECT_THAT(steps[0].after, ElementsAre(ActivityLap{Activity::kOther, -1, Duration(1)},
                                          ActivityLap{Activity::kEvaluate, -1, Duration(900)}));
}

TEST_F(StepTraceTest, KeepsStepsAfterTheWarmUpAndTheLast) {
  for (int i = 1; i <= 1'000; ++i) step(i);
  auto expected = numbers(11, 30);
  for (const std::int64_t number : numbers(981, 1'000)) expected.push_back(number);
  EXPECT_EQ(kept(), expected);
  for (const StepLaps& step : trace_.steps()) {
    EXPECT_EQ(step.begin, Duration(1'000 + 40 * (step.step - 1)));
    EXPECT_EQ(step.wall(), Duration(40));
    EXPECT_TRUE(step.after.empty());
  }
}

TEST_F(StepTraceTest, KeepsWhatThereIsOfAShortRun) {
  EXPECT_THAT(kept(), ElementsAre());
  for (int i = 1; i <= 8; ++i) step(i);
  EXPECT_EQ(kept(), numbers(1, 8));
  for (int i = 9; i <= 25; ++i) step(i);
  EXPECT_EQ(kept(), numbers(6, 25));
  for (int i = 26; i <= 40; ++i) step(i);
  EXPECT_EQ(kept(), numbers(11, 40));
}

TEST_F(StepTraceTest, ALongEvaluationDoesNotPushStepsOut) {
  for (int i = 1; i <= 100; ++i) step(i);
  for (int i = 0; i < 100'000; ++i) lap(i % 2 == 0 ? Activity::kEvaluate : Activity::kSum, -1, 1'000);
  EXPECT_EQ(kept().size(), 40U);
  const StepLaps last = trace_.steps().back();
  EXPECT_EQ(last.step, 100);
  EXPECT_EQ(last.wall(), Duration(40));
  EXPECT_GT(last.after.size(), 50U);
  EXPECT_LT(last.after.size(), 70U);
}

TEST_F(StepTraceTest, OfStepsWithManyLapsFewerAreKeptWhole) {
  const int laps = 4'000;
  for (int i = 1; i <= 100; ++i) step(i, laps);
  EXPECT_THAT(kept(), ElementsAre(27, 28, 29, 30, 97, 98, 99, 100));
  for (const StepLaps& step : trace_.steps()) EXPECT_EQ(step.wall(), Duration(10 * laps));
}

}  // namespace
}  // namespace regatta
