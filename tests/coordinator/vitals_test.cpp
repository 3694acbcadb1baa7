// When a run is given up, by a clock that the test moves.

#include "coordinator/vitals.hpp"

#include <gmock/gmock.h>

namespace regatta {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class DecideTest : public testing::Test {
 protected:
  Decision at(Duration since_launch) const { return decide(vitals_, start_ + since_launch); }
  SteadyTime start_ = SteadyTime{} + 1h;
  Vitals vitals_{.launched = start_, .last_sign = start_};
};

TEST_F(DecideTest, GivesRanksAMinuteToStart) {
  EXPECT_EQ(at(60s).act, Act::kGoOn);
  EXPECT_EQ(at(60s + 1ms).act, Act::kKill);
  EXPECT_THAT(at(61s).reason, HasSubstr("start line within 60 s"));
  vitals_.deadline_s = 100;
  EXPECT_EQ(at(300s).act, Act::kGoOn);
  EXPECT_EQ(at(301s).act, Act::kKill);
  vitals_.deadline_s.reset();
  vitals_.data_bytes = 500'000'000;  // 100 s at 5 MB/s
  EXPECT_EQ(at(160s).act, Act::kGoOn);
  EXPECT_EQ(at(161s).act, Act::kKill);
}

TEST_F(DecideTest, AQueueMayLastUntilItsTimeout) {
  vitals_.queued = true;
  EXPECT_EQ(at(100h).act, Act::kGoOn) << "no nodes yet, so nobody is silent";
  vitals_.queue_timeout_s = 3600;
  EXPECT_EQ(at(3600s).act, Act::kGoOn);
  EXPECT_EQ(at(3601s).act, Act::kKill);
  EXPECT_THAT(at(3601s).reason, HasSubstr("did not leave the queue within 3600 s (queue_timeout)"));
  vitals_.interrupts = 1;
  EXPECT_EQ(at(1s).act, Act::kKill) << "nothing runs that could stop";
}

TEST_F(DecideTest, KillsSilentRanksAfterThreeDeadlines) {
  vitals_.started = true;
  vitals_.deadline_s = 20;
  vitals_.last_sign = start_ + 100s;
  EXPECT_EQ(at(160s).act, Act::kGoOn);
  EXPECT_EQ(at(160s + 1ms).act, Act::kKill);
  EXPECT_THAT(at(161s).reason, HasSubstr("no sign of life from the ranks for 60 s"));
}

TEST_F(DecideTest, EndsALauncherThatDoesNotEndAfterAFault) {
  vitals_.started = true;
  vitals_.last_sign = start_ + 10s;
  vitals_.faulted = start_ + 10s;
  EXPECT_EQ(at(16s).act, Act::kGoOn);
  EXPECT_EQ(at(16s + 1ms).act, Act::kKillAfterFault);
}

TEST_F(DecideTest, StopsOnceThenKillsAfterABoundOrAtTheSecondWord) {
  vitals_.started = true;
  vitals_.interrupts = 1;
  EXPECT_EQ(at(1s).act, Act::kRequestStop);
  vitals_.stop_requested = vitals_.asked_again = start_ + 1s;
  EXPECT_EQ(at(1900ms).act, Act::kGoOn);
  EXPECT_EQ(at(2s).act, Act::kRequestStop) << "again: mpirun may have dropped it";
  vitals_.asked_again = start_ + 16s;
  EXPECT_EQ(at(16s).act, Act::kGoOn);
  EXPECT_EQ(at(16s + 1ms).act, Act::kKill);
  vitals_.step = 20s;
  EXPECT_EQ(at(60s).act, Act::kRequestStop) << "three long steps may pass";
  EXPECT_EQ(at(62s).act, Act::kKill);
  vitals_.interrupts = 2;
  EXPECT_EQ(at(2s).act, Act::kKill);
}

TEST_F(DecideTest, BeforeTheFirstStepThereIsNothingToKeep) {
  vitals_.interrupts = 1;
  EXPECT_EQ(at(1s).act, Act::kKill);
}

TEST(SilenceLimit, FollowsTheDeadline) {
  EXPECT_EQ(silence_limit(1.0, {}), 30s);  // never below three heartbeats
  EXPECT_EQ(silence_limit(20.0, {}), 60s);
  EXPECT_EQ(silence_limit({}, Duration(100ms)), 30s);  // auto: 10 s
  EXPECT_EQ(silence_limit({}, Duration(4s)), 60s);     // auto: 5 steps of 4 s
  EXPECT_EQ(silence_limit({}, {}), 180s);              // auto before the first step
}

}  // namespace
}  // namespace regatta
