// The lap clock partitions time; waits are divided without loss; the epoch's line keeps the sums.

#include <gmock/gmock.h>

#include <algorithm>

#include "worker/epoch_summary.hpp"
#include "worker/lap_clock.hpp"

namespace regatta {
namespace {

/// Work for at least `duration`, by the clock itself.
void spin(std::chrono::microseconds duration) {
  const SteadyTime end = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < end) {
  }
}

TEST(LapClock, LapsPartitionTheTimeLine) {
  const SteadyTime before = std::chrono::steady_clock::now();
  LapClock clock;
  const SteadyTime start = std::chrono::steady_clock::now();
  {
    const Lap compute(clock, Activity::kForward);
    spin(std::chrono::microseconds(300));
    {
      const Lap exchange(clock, Activity::kPublish, 0);
      spin(std::chrono::microseconds(500));
    }
    EXPECT_EQ(clock.activity(), Activity::kForward);
    spin(std::chrono::microseconds(300));
  }
  EXPECT_EQ(clock.activity(), Activity::kOther);
  const SteadyTime end = std::chrono::steady_clock::now();
  const PhaseSeconds laps = clock.take();
  const SteadyTime after = std::chrono::steady_clock::now();

  EXPECT_GE(laps.sum(), seconds(end - start));
  EXPECT_LE(laps.sum(), seconds(after - before));
  EXPECT_GE(laps[Phase::kCompute], 600e-6);
  EXPECT_GE(laps[Phase::kExchange], 500e-6);
  EXPECT_EQ(laps[Phase::kOptimizer], 0);
}

TEST(LapClock, TakeStartsAnewAndKeepsTheActivity) {
  LapClock clock;
  clock.enter({Activity::kEvaluate});
  spin(std::chrono::microseconds(200));
  EXPECT_GE(clock.take()[Phase::kEvaluation], 200e-6);
  EXPECT_EQ(clock.activity(), Activity::kEvaluate);
  const PhaseSeconds next = clock.take();
  EXPECT_EQ(next.sum(), next[Phase::kEvaluation]);
}

TEST(SplitWaits, TheMinimumIsExchangeAndTheRestIsStraggling) {
  PhaseSeconds laps;
  laps[Phase::kCompute] = 4;
  laps[Phase::kExchange] = 3;  // 0.5 of it publishing
  laps[Phase::kStragglerWait] = 0.25;
  const std::vector<double> own{1.5, 1.0}, least{0.5, 1.0};
  const PhaseSeconds split = split_waits(laps, own, least);
  EXPECT_DOUBLE_EQ(split[Phase::kExchange], 2.0);
  EXPECT_DOUBLE_EQ(split[Phase::kStragglerWait], 1.25);
  EXPECT_DOUBLE_EQ(split[Phase::kCompute], 4);
  EXPECT_DOUBLE_EQ(split.sum(), laps.sum());
}

TEST(WithinWall, SumsToTheHostsSecondsWhateverTheDeviceSays) {
  PhaseSeconds device;
  device[Phase::kCompute] = 6;
  device[Phase::kExchange] = 2;
  const PhaseSeconds within = within_wall(device, 9);
  EXPECT_EQ(within[Phase::kCompute], 6);
  EXPECT_EQ(within[Phase::kExchange], 2);
  EXPECT_EQ(within[Phase::kOther], 1);
  const PhaseSeconds scaled = within_wall(device, 4);  // its clock is wrong
  EXPECT_EQ(scaled[Phase::kCompute], 3);
  EXPECT_EQ(scaled[Phase::kExchange], 1);
  EXPECT_EQ(scaled[Phase::kOther], 0);
}

TEST(EpochRecord, MeansOverRanksKeepTheSum) {
  Plan plan;
  plan.placement = {.ranks = 2, .threads = 1, .cores_per_node = 2};
  plan.price =
      Price{.usd_per_node_hour = {36'000'000}, .billing = Billing::kSlot};  // 0.036 $/h: 10,000 nano-USD a second
  RankEpoch fast{.epoch = 2, .rank = 0, .wall_s = 10}, slow{.epoch = 2, .rank = 1, .wall_s = 10};
  fast.seconds[Phase::kCompute] = 5;
  fast.seconds[Phase::kStragglerWait] = 3;
  fast.seconds[Phase::kEvaluation] = 2;
  slow.seconds[Phase::kCompute] = 8;
  slow.seconds[Phase::kEvaluation] = 2;
  fast.exchange_hidden_s = 1;
  slow.device_memory_peak_bytes = 4'000'000;
  const std::vector<RankEpoch> rows{fast, slow};
  const EpochTotals totals{
      .epoch = 2, .first_step = 11, .last_step = 20, .samples = 1280, .loss_sum = 640, .learning_rate = 0.05};
  const record::Epoch line = epoch_record(plan, totals, TestFigures{.loss = 0.25, .accuracy = 0.9}, rows, 4096);

  EXPECT_DOUBLE_EQ(line.seconds[Phase::kCompute], 6.5);
  EXPECT_DOUBLE_EQ(line.seconds[Phase::kStragglerWait], 1.5);
  EXPECT_DOUBLE_EQ(line.seconds.sum(), line.wall_s);
  EXPECT_DOUBLE_EQ(line.train_s, 8);
  EXPECT_DOUBLE_EQ(line.exchange_hidden_s, 0.5);
  EXPECT_DOUBLE_EQ(line.samples_per_s, 160);
  EXPECT_DOUBLE_EQ(line.train_loss, 0.5);
  EXPECT_EQ(line.test_accuracy, 0.9);
  EXPECT_EQ(line.cost, NanoUsd{100'000});  // 10 s of 2 of 2 cores
  EXPECT_EQ(line.first_step, 11);
  EXPECT_EQ(line.bytes_exchanged, 4096);
  EXPECT_EQ(line.device_memory_peak_bytes, 4'000'000) << "of those that have a device";

  plan.price.reset();
  EXPECT_FALSE(epoch_record(plan, totals, {}, rows, 0).cost.has_value());
}

}  // namespace
}  // namespace regatta
