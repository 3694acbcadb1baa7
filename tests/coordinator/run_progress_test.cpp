#include "coordinator/run_progress.hpp"

#include <gtest/gtest.h>

namespace regatta {
namespace {

using namespace std::chrono_literals;

/// 100 steps an epoch, on a clock that the test moves: launched at 0 s, the start line comes after 10 s.
class RunProgressTest : public testing::Test {
 protected:
  static Plan plan_with(const StopSpec& stop) {
    Plan plan;
    plan.training.train.batch = 8;
    plan.dataset.train_count = 800;
    plan.training.stop = stop;
    return plan;
  }
  ProgressView at(RunProgress& progress, Duration since_launch) const {
    return progress.view(launched_ + since_launch, since_launch);
  }
  void start(RunProgress& progress) const { progress.hear(JournalLine{.body = record::Start{}}, launched_ + 10s); }

  const SteadyTime launched_ = SteadyTime{} + 1h;
};

TEST_F(RunProgressTest, EpochsHaveAPaceSinceTheStartLine) {
  const Plan plan = plan_with({.epochs = 4});
  RunProgress progress(plan);
  start(progress);
  progress.hear(Progress{.epoch = 2, .step = 0});
  EXPECT_DOUBLE_EQ(at(progress, 30s).fraction, 0.25);
  EXPECT_EQ(at(progress, 30s).left, 60s);
}

TEST_F(RunProgressTest, MaxTimeRunsFromTheLaunchAsInTheWorker) {
  const Plan plan = plan_with({.max_time_s = 60});
  RunProgress progress(plan);
  EXPECT_EQ(at(progress, 6s).left, 54s);
  start(progress);
  EXPECT_DOUBLE_EQ(at(progress, 30s).fraction, 0.5);
  EXPECT_EQ(at(progress, 30s).left, 30s);
  EXPECT_DOUBLE_EQ(at(progress, 70s).fraction, 1);
  EXPECT_EQ(at(progress, 70s).left, 0s) << "the last step and the evaluation take longer";
}

TEST_F(RunProgressTest, TheFirstStopWins) {
  const Plan plan = plan_with({.epochs = 4, .max_time_s = 1000});
  RunProgress progress(plan);
  start(progress);
  progress.hear(Progress{.epoch = 3, .step = 0});
  EXPECT_DOUBLE_EQ(at(progress, 30s).fraction, 0.5);
  EXPECT_EQ(at(progress, 30s).left, 20s);
  EXPECT_DOUBLE_EQ(at(progress, 990s).fraction, 0.99);
  EXPECT_EQ(at(progress, 990s).left, 10s);
}

TEST_F(RunProgressTest, MoneyIsTimeAtThePlansPrice) {
  Plan plan = plan_with({.max_cost = *parse_usd("0.03")});
  plan.price = Price{.usd_per_node_hour = *parse_usd("3.6")};  // 0.001 a second
  plan.price->billing = Billing::kNode;
  plan.spent = *parse_usd("0.01");  // an earlier attempt
  RunProgress progress(plan);
  EXPECT_DOUBLE_EQ(at(progress, 5s).fraction, 0.25);
  EXPECT_EQ(at(progress, 5s).left, 15s);
}

TEST_F(RunProgressTest, AnEvaluationsProgressIsNoPace) {
  const Plan plan = plan_with({.epochs = 4});
  RunProgress progress(plan);
  progress.hear(Progress{.epoch = 1, .step = 50, .samples_per_s = 80});
  progress.hear(Progress{.epoch = 1, .step = 100, .samples_per_s = 0, .phase = "evaluate"});
  EXPECT_EQ(progress.step(), 100ms);
  EXPECT_EQ(at(progress, 1s).phase, "evaluate");
  EXPECT_EQ(at(progress, 1s).samples_per_s, 80);
}

}  // namespace
}  // namespace regatta
