// What rank 0 says and when, on a clock that the test moves; and the deadline that follows the first steps.

#include "worker/step_reporter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.hpp"
#include "tests/support/process.hpp"
#include "tests/worker/listener.hpp"
#include "tests/worker/worker_samples.hpp"
#include "worker/auto_deadline.hpp"
#include "worker/link_client.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class StepReporterTest : public testing::Test {
 protected:
  StepReporterTest() {
    folder_.write("link.json", Json{{"port", listener_.port}, {"token", "abc"}}.dump());
    link_.emplace(folder_.path(), plan_.run, 1, [](const std::string& text) { ADD_FAILURE() << text; });
    journal_.emplace(folder_.path(), plan_.run, 1, &*link_, [this](const RecordBody& body) {
      lines_.push_back(type_of(body));
      if (const auto* beat = std::get_if<record::Heartbeat>(&body)) beats_.emplace_back(now_, *beat);
      if (const auto* early = std::get_if<record::Early>(&body)) {
        early_ = early->losses;
        step_s_ = early->step_s;
      }
      if (const auto* first = std::get_if<record::FirstStep>(&body)) startup_s_ = first->startup_s;
    });
    reporter_.emplace(&*journal_, plan_, now_ - 3s, now_);
  }

  void steps(int count, Duration each) {
    for (int i = 0; i < count; ++i) {
      now_ += each;
      ++step_;
      reporter_->after_step({1, step_, step_, 8, 1.0 / static_cast<double>(step_)}, now_);
    }
  }
  void evaluation(int batches, Duration each) {
    for (int i = 0; i < batches; ++i) {
      reporter_->evaluating(now_);
      now_ += each;
    }
  }
  /// All that went over the link so far.
  std::vector<Progress> progress() {
    std::vector<Progress> all;
    constexpr std::int64_t kEnd = 1'000'000;  // no journal here is as long
    link_->send(JournalNotice{kEnd});
    for (;;) {
      const LinkMessage message = decode(listener_.read_line());
      const auto* notice = std::get_if<JournalNotice>(&message);
      if (notice != nullptr && notice->seq == kEnd) return all;
      if (const auto* heard = std::get_if<Progress>(&message)) all.push_back(*heard);
    }
  }
  void expect_heartbeats_within(Duration limit) const {
    SteadyTime last = start_;
    for (const auto& [at, beat] : beats_) {
      EXPECT_LE(at - last, limit);
      last = at;
    }
    EXPECT_LE(now_ - last, limit);
  }

  const SteadyTime start_ = SteadyTime{} + 1h;
  SteadyTime now_ = start_;
  std::int64_t step_ = 0;
  const Plan plan_ = test::small_plan(1000, 8, {1});
  const test::TemporaryFolder folder_;
  test::Listener listener_;
  std::optional<LinkClient> link_;
  std::optional<Journal> journal_;
  std::optional<StepReporter> reporter_;
  std::vector<std::string> lines_;
  std::vector<std::pair<SteadyTime, record::Heartbeat>> beats_;
  std::vector<double> early_, step_s_;
  double startup_s_ = 0;
};

TEST_F(StepReporterTest, SaysWhenTheFirstStepWasDone) {
  steps(3, 500ms);
  EXPECT_THAT(lines_, ElementsAre("first_step"));
  EXPECT_DOUBLE_EQ(startup_s_, 3.5);
}

TEST_F(StepReporterTest, BeatsInStepsAndInEvaluationsAtMostTenSecondsApart) {
  steps(100, 700ms);
  evaluation(200, 900ms);
  steps(20, 4900ms);
  expect_heartbeats_within(10s);
  EXPECT_LT(beats_.size(), 70U) << "348 s: one every five seconds is enough";
  EXPECT_GE(beats_.back().second.step, 119);
  EXPECT_EQ(beats_.back().second.samples, beats_.back().second.step * 8);
}

TEST_F(StepReporterTest, GivesTheFirstTwentyLosses) {
  steps(30, 1ms);
  reporter_->finish();
  EXPECT_THAT(lines_, ElementsAre("first_step", "early"));
  ASSERT_EQ(early_.size(), 20U);
  EXPECT_DOUBLE_EQ(early_.back(), 1.0 / 20);
  EXPECT_TRUE(step_s_.empty());
}

TEST_F(StepReporterTest, GivesTheLossesOfAShorterRunAtItsEnd) {
  steps(3, 1ms);
  EXPECT_THAT(lines_, ElementsAre("first_step"));
  reporter_->finish();
  EXPECT_THAT(lines_, ElementsAre("first_step", "early"));
  EXPECT_THAT(early_, ElementsAre(1.0, 1.0 / 2, 1.0 / 3));
}

TEST_F(StepReporterTest, GivesAllStepsOfATrialWithTheirTimes) {
  Plan trial = plan_;
  trial.trial = TrialLimits{.most_steps = 30};
  reporter_.emplace(&*journal_, trial, now_ - 3s, now_);
  steps(10, 1ms);
  steps(19, 2ms);
  EXPECT_THAT(lines_, ElementsAre("first_step"));
  steps(1, 4ms);
  EXPECT_THAT(lines_, ElementsAre("first_step", "early"));
  EXPECT_EQ(early_.size(), 30U);
  ASSERT_EQ(step_s_.size(), 30U);
  EXPECT_DOUBLE_EQ(step_s_[0], 0.001);
  EXPECT_DOUBLE_EQ(step_s_[29], 0.004);
}

TEST_F(StepReporterTest, TellsPhasesAtOnceAndProgressFourTimesASecond) {
  steps(100, 10ms);  // at 10, 260, 510 and 760 ms
  evaluation(10, 10ms);
  steps(50, 10ms);  // at once, and a quarter of a second later
  const std::vector<Progress> told = progress();
  std::vector<std::string> phases;
  phases.reserve(told.size());
  for (const auto& heard : told) phases.push_back(heard.phase);
  ASSERT_THAT(phases, ElementsAre("train", "train", "train", "train", "evaluate", "train", "train"));
  EXPECT_DOUBLE_EQ(told[1].samples_per_s, 800) << "8 samples every 10 ms";
  EXPECT_EQ(told[4].step, 100);
  EXPECT_EQ(told[5].samples_per_s, 0) << "an interval that holds an evaluation is no pace";
  EXPECT_DOUBLE_EQ(told[6].samples_per_s, 800);
}

TEST(StepReporter, IsSilentWithoutAJournal) {
  const Plan plan = test::small_plan(1000, 8, {1});
  StepReporter reporter(nullptr, plan, {}, {});
  reporter.after_step({}, SteadyTime{} + 1h);
  reporter.evaluating(SteadyTime{} + 2h);
  reporter.finish();
}

TEST(AutoDeadline, IsFiveMediansOfTheFirstTwentySteps) {
  AutoDeadline deadline(/*one_host=*/true);
  EXPECT_EQ(deadline.after_step(600s), std::nullopt) << "one slow step moves no median";
  for (int i = 1; i < 19; ++i) EXPECT_EQ(deadline.after_step(4s), std::nullopt);
  EXPECT_EQ(deadline.after_step(1ms), 20s);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(deadline.after_step(600s), std::nullopt) << "decided once";
}

TEST(AutoDeadline, BetweenHostsAllowsForTheStepsThatMeet) {
  AutoDeadline deadline(/*one_host=*/false);
  std::optional<Duration> found;
  for (int step = 1; step <= 20; ++step)
    found = deadline.after_step(std::chrono::seconds(step == 1 ? 600 : step % 8 == 0 ? 9 : 1));  // every: 8
  EXPECT_EQ(found, std::chrono::seconds(45));
}

TEST(AutoDeadline, IsAtLeastTenSeconds) {
  AutoDeadline deadline(/*one_host=*/true);
  std::optional<Duration> decided;
  for (int i = 0; i < 20; ++i) decided = deadline.after_step(1ms);
  EXPECT_EQ(decided, 10s);
}

}  // namespace
}  // namespace regatta
