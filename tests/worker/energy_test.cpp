// The energy of an epoch from what hosts say, against sums by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.hpp"
#include "worker/host_energy.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

constexpr const char* kRapl = "RAPL: package-0";

RankEpoch row(std::optional<HostJoules> energy = {}) {
  return {.wall_s = 10, .energy = std::move(energy)};
}

Plan plan_with(std::optional<PowerSpec> power, int nodes = 1, int ranks = 1, int gpus = 0) {
  Plan plan;
  plan.power = std::move(power);
  plan.placement = {.nodes = nodes, .ranks = ranks, .threads = 2, .cores_per_node = 8, .gpus_per_node = gpus};
  return plan;
}

const PowerSpec kTdp{.idle_w = 60, .busy_w = 220, .source = "vendor TDP"};

TEST(EpochEnergy, SumsWhatTheMetersOfAllHostsCounted) {
  const std::vector<RankEpoch> rows{row(HostJoules{.processors_j = 1000.5, .source = kRapl}), row(),
                                    row(HostJoules{.processors_j = 800.25, .source = kRapl}), row()};
  const auto energy = epoch_energy(plan_with(kTdp, 2, 4), rows, 10);
  ASSERT_TRUE(energy);
  EXPECT_DOUBLE_EQ(energy->value_j, 1800.75);
  EXPECT_EQ(energy->kind, FigureKind::kMeasured) << "a meter beats the pool's word";
  EXPECT_EQ(energy->source, kRapl);
  EXPECT_EQ(energy->error_pct, kMeterErrorPct);
}

TEST(EpochEnergy, AHostWithoutMetersLeavesAllToThePoolsPower) {
  const std::vector<RankEpoch> rows{row(HostJoules{.processors_j = 1000, .source = kRapl}), row(HostJoules{})};
  const auto energy = epoch_energy(plan_with(kTdp, 2, 2), rows, 10);
  ASSERT_TRUE(energy);
  EXPECT_EQ(energy->kind, FigureKind::kEstimated);
  EXPECT_DOUBLE_EQ(energy->value_j, 2 * (60 + 160 * (2 * 2) / 16.0) * 10) << "4 of 16 cores";
  EXPECT_FALSE(epoch_energy(plan_with({}, 2, 2), rows, 10)) << "half of it is not it";
  EXPECT_FALSE(epoch_energy(plan_with({}), std::vector<RankEpoch>{row()}, 10));
}

TEST(EpochEnergy, OnGpusBoardsCountTooAndStandAloneWhereNothingElseIsKnown) {
  const HostJoules both{.processors_j = 400, .boards_j = 2500.5, .wants_boards = true, .source = "RAPL; NVML"};
  const auto whole = epoch_energy(plan_with(kTdp, 1, 2, 4), std::vector<RankEpoch>{row(both), row()}, 10);
  EXPECT_DOUBLE_EQ(whole->value_j, 2900.5);
  const HostJoules boards{.boards_j = 2500.5, .wants_boards = true, .source = "NVML: 2 boards"};
  const std::vector<RankEpoch> rows{row(boards), row()};
  EXPECT_DOUBLE_EQ(epoch_energy(plan_with(kTdp, 1, 2, 4), rows, 10)->value_j, (60 + 160 * 2 / 4.0) * 10);
  Plan mixed = plan_with(kTdp, 1, 5, 4);
  mixed.placement.cpu_ranks = 3;
  EXPECT_DOUBLE_EQ(epoch_energy(mixed, rows, 10)->value_j, (60 + 160 * 6 / 8.0) * 10) << "two GPUs of 4, 6 cores of 8";
  const auto alone = epoch_energy(plan_with({}, 1, 2, 4), rows, 10);
  ASSERT_TRUE(alone);
  EXPECT_DOUBLE_EQ(alone->value_j, 2500.5);
  EXPECT_THAT(alone->source, HasSubstr("processors and memory are not metered"));
  const HostJoules no_boards{.processors_j = 400, .wants_boards = true, .source = kRapl};
  EXPECT_FALSE(epoch_energy(plan_with({}, 1, 1, 4), std::vector<RankEpoch>{row(no_boards)}, 10))
      << "processors alone are no run on GPUs";
}

TEST(HostEnergyTest, TakesEachJouleOnce) {
  const test::TemporaryFolder tree;
  tree.write("intel-rapl:0/name", "package-0\n");
  tree.write("intel-rapl:0/max_energy_range_uj", "1000000000\n");
  tree.write("intel-rapl:0/energy_uj", "999000000\n");
  ::setenv("REGATTA_POWERCAP", tree.path().c_str(), 1);
  ::setenv("REGATTA_NVML", REGATTA_TEST_LIBRARIES "/fake_nvml.so", 1);
  HostEnergy energy({"0000:3b:00.0"});
  ::unsetenv("REGATTA_POWERCAP");
  ::unsetenv("REGATTA_NVML");
  tree.write("intel-rapl:0/energy_uj", "500000\n");  // wrapped
  const HostJoules first = energy.take();
  EXPECT_DOUBLE_EQ(first.processors_j.value(), 1.5);
  EXPECT_NEAR(first.boards_j.value(), 1.5, 1e-5);
  EXPECT_EQ(first.source, "RAPL: package-0; NVML: 1 board");
  EXPECT_EQ(energy.take().processors_j, 0);
  tree.write("intel-rapl:0/energy_uj", "900000000\n");
  energy.watch(std::chrono::steady_clock::now() + std::chrono::seconds(31));
  tree.write("intel-rapl:0/energy_uj", "100000000\n");
  EXPECT_DOUBLE_EQ(energy.take().processors_j.value(), 899.5 + 200) << "a wrap that one look alone would have missed";
}

}  // namespace
}  // namespace regatta
