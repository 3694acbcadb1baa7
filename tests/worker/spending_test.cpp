#include "worker/spending.hpp"

#include <gtest/gtest.h>

namespace regatta {
namespace {

using namespace std::chrono_literals;

const SteadyTime kStart{1000s};
const Timestamp kWallAtStart{std::chrono::microseconds(1'751'371'200'000'000)};

/// $0.001 a second for the node; slots: ranks x threads of four cores.
Plan priced(Billing billing) {
  Plan plan;
  plan.placement.ranks = 2;
  plan.placement.cores_per_node = 4;
  plan.price = Price{.usd_per_node_hour = *parse_usd("3.6")};
  plan.price->billing = billing;
  return plan;
}

TEST(Spending, CountsFromTheLaunchAndEarlierAttempts) {
  Plan plan = priced(Billing::kNode);
  plan.spent = *parse_usd("0.5");
  plan.launched_at = kWallAtStart - 2s;  // mpirun took two seconds to start the process
  const Spending spending(plan, kStart, kWallAtStart + 1s, kStart + 1s);
  EXPECT_EQ(spending.accrued(kStart + 10s), *parse_usd("0.512"));
}

TEST(Spending, BillsSlotsAsTheBillDoes) {
  const Plan plan = priced(Billing::kSlot);
  const Spending spending(plan, kStart, kWallAtStart, kStart);
  EXPECT_EQ(spending.accrued(kStart + 10s), *parse_usd("0.005"));
}

TEST(Spending, ALaunchInTheFutureOfThisClockCountsAsNow) {
  Plan plan = priced(Billing::kNode);
  plan.launched_at = kWallAtStart + 3600s;
  EXPECT_EQ(Spending(plan, kStart, kWallAtStart, kStart).accrued(kStart + 1s), *parse_usd("0.001"));
}

TEST(Spending, SaysWhichLimitIsReached) {
  Plan plan = priced(Billing::kNode);
  const auto at = [&](Duration held) { return Spending(plan, kStart, kWallAtStart, kStart).budget(kStart + held); };
  EXPECT_EQ(at(1000s), Budget::kLeft);
  plan.training.stop.max_time_s = 60;
  EXPECT_EQ(at(59s), Budget::kLeft);
  EXPECT_EQ(at(60s), Budget::kTimeSpent);
  plan.training.stop.max_cost = *parse_usd("0.03");
  EXPECT_EQ(at(29s), Budget::kLeft);
  EXPECT_EQ(at(30s), Budget::kMoneySpent);
  plan.spent = *parse_usd("0.03");
  EXPECT_EQ(at(0s), Budget::kMoneySpent);
}

}  // namespace
}  // namespace regatta
