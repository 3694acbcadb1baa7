// Bills against node-seconds worked out by hand, and against the definition of the largest remainder.
#include "cluster/bill.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace regatta {
namespace {

using namespace std::chrono_literals;
__extension__ using Wide = __int128;

Price price_of(const char* usd, Billing billing) {
  return {.usd_per_node_hour = *parse_usd(usd), .billing = billing};
}
// 3.6 USD an hour are 0.001 USD a second: seconds read as milli-dollars.
const Price kMilliPerSecond = price_of("3.6", Billing::kNode);

record::Epoch epoch_of(std::initializer_list<std::pair<Phase, double>> phases, double wall_s) {
  record::Epoch epoch{.wall_s = wall_s};
  for (const auto& [phase, value] : phases) epoch.seconds[phase] = value;
  return epoch;
}

std::map<std::string, std::string> text_of(const Bill& bill) {
  std::map<std::string, std::string> parts;
  for (const auto& [name, amount] : bill.parts)
    if (amount.nano != 0) parts[name] = to_decimal(amount);
  return parts;
}
using Parts = std::map<std::string, std::string>;

NanoUsd sum_of(const Bill& bill) {
  return std::accumulate(bill.parts.begin(), bill.parts.end(), NanoUsd{},
                         [](NanoUsd sum, const auto& part) { return sum + part.second; });
}

TEST(HoldingCost, EndsAtAHundredMillionDollars) {
  const Holding crowd{.nodes = 65'536, .ranks = 65'536, .threads = 4'096, .cores_per_node = 1};
  const Duration years = counted_time(1e308);
  EXPECT_EQ(years, counted_time(1e9));
  for (const auto billing : {Billing::kNode, Billing::kSlot}) {
    EXPECT_EQ(holding_cost(price_of("50000", billing), crowd, years), kMostCost);
    EXPECT_EQ(holding_cost(price_of("0", billing), crowd, years), NanoUsd{});
    EXPECT_LT(holding_cost(price_of("0.000000001", billing), crowd, years), kMostCost);
  }
  EXPECT_EQ(holding_cost(price_of("50000", Billing::kNode), {}, 2000h), kMostCost);
  EXPECT_EQ(holding_cost(price_of("49999.9", Billing::kNode), {}, 2000h), *parse_usd("99999800"));
}

TEST(HoldingCost, FollowsNodeSecondsAndSlots) {
  struct Case {
    const char* usd_per_hour;
    Billing billing;
    Holding holding;
    Duration held;
    const char* cost;
  };
  const std::vector<Case> cases = {
      // 0.08925 x 72 s / 3600 = 0.001785 for the node; 1 of 2 slots is half of it
      {"0.08925", Billing::kSlot, {.ranks = 1, .threads = 1, .cores_per_node = 2}, 72s, "0.0008925"},
      {"0.08925", Billing::kSlot, {.ranks = 2, .threads = 1, .cores_per_node = 2}, 72s, "0.001785"},
      {"0.08925", Billing::kSlot, {.ranks = 1, .threads = 2, .cores_per_node = 2}, 72s, "0.001785"},
      // 3 ranks x 4 threads of 16 cores: 3/4 of 0.68042 x 3600 s / 3600
      {"0.68042", Billing::kSlot, {.ranks = 3, .threads = 4, .cores_per_node = 16}, 3600s, "0.510315"},
      // two nodes of 48 cores, 96 ranks: 2 x 2.142 x 90 / 3600
      {"2.142", Billing::kSlot, {.nodes = 2, .ranks = 96, .threads = 1, .cores_per_node = 48}, 90s, "0.1071"},
      // whole nodes, however few the ranks: the same
      {"4", Billing::kSlot, {.ranks = 2, .threads = 3, .cores_per_node = 16, .gpus_per_node = 8}, 3600s, "1"},
      // both kinds: 2 of 8 GPUs are a quarter, 6 x 2 of 16 cores three quarters; then 1 x 2 cores, and the GPUs count
      {"4",
       Billing::kSlot,
       {.ranks = 8, .threads = 2, .cores_per_node = 16, .gpus_per_node = 8, .cpu_ranks = 6},
       3600s,
       "3"},
      {"4",
       Billing::kSlot,
       {.ranks = 3, .threads = 2, .cores_per_node = 16, .gpus_per_node = 8, .cpu_ranks = 1},
       3600s,
       "1"},
      {"4",
       Billing::kNode,
       {.ranks = 8, .threads = 2, .cores_per_node = 16, .gpus_per_node = 8, .cpu_ranks = 6},
       3600s,
       "4"},
      {"2.142", Billing::kNode, {.nodes = 2, .ranks = 2, .threads = 1, .cores_per_node = 48}, 90s, "0.1071"},
      {"2.142", Billing::kNode, {.nodes = 1, .ranks = 2, .threads = 1, .cores_per_node = 48}, 90s, "0.05355"},
      // 63.296 x 0.000001 s / 3600 = 17.58 nano-dollars
      {"63.296", Billing::kNode, {}, 1us, "0.000000018"},
      {"63.296", Billing::kNode, {}, 0s, "0"},
      {"63.296", Billing::kNode, {}, -5s, "0"},
      {"0", Billing::kNode, {}, 3600s, "0"},
  };
  for (const auto& one : cases) {
    const auto cost = holding_cost(price_of(one.usd_per_hour, one.billing), one.holding, one.held);
    EXPECT_EQ(to_decimal(cost), one.cost) << one.usd_per_hour << " " << to_text(one.billing) << " " << one.held.count();
  }
}

TEST(Bill, AFinishedRunByPart) {
  const auto epoch = [](double wall_s) {
    return epoch_of({{Phase::kCompute, 20},
                     {Phase::kDataWait, 2},
                     {Phase::kExchange, 5},
                     {Phase::kStragglerWait, 3},
                     {Phase::kOptimizer, 4},
                     {Phase::kEvaluation, 6},
                     {Phase::kOther, 0.25}},
                    wall_s);
  };
  // Phases: 40.25 s an epoch. The second one's wall has 0.5 s beyond them, which are `other`: 0.25 + 0.25 + 0.5.
  // Shutdown: 100 - 5 - 40.25 - 40.75 = 14.
  const Bill bill = make_bill(
      kMilliPerSecond, {}, {{.held = 100s, .startup = 5s, .epochs = {epoch(40.25), epoch(40.75)}, .finished = true}});
  EXPECT_EQ(to_decimal(bill.total), "0.1");
  EXPECT_EQ(text_of(bill), (Parts{{"startup", "0.005"},
                                  {"compute", "0.04"},
                                  {"data_wait", "0.004"},
                                  {"exchange", "0.01"},
                                  {"straggler_wait", "0.006"},
                                  {"optimizer", "0.008"},
                                  {"evaluation", "0.012"},
                                  {"other", "0.001"},
                                  {"shutdown", "0.014"}}));
}

// A batch job: 20 s between Slurm's start and the ranks', and after their end; 5 s from the ranks' start to their start
// line.
TEST(Bill, WhatABatchJobHeldIdleIsAPart) {
  const auto epoch = epoch_of({{Phase::kCompute, 60}}, 60);
  const Bill bill =
      make_bill(kMilliPerSecond, {}, {{.held = 100s, .startup = 5s, .hold = 20s, .epochs = {epoch}, .finished = true}});
  EXPECT_EQ(text_of(bill), (Parts{{"startup", "0.005"}, {"compute", "0.06"}, {"hold", "0.02"}, {"shutdown", "0.015"}}));
  const Bill failed = make_bill(kMilliPerSecond, {}, {{.held = 100s, .startup = 5s, .hold = 20s, .epochs = {epoch}}});
  EXPECT_EQ(text_of(failed), (Parts{{"startup", "0.005"}, {"hold", "0.02"}, {"lost", "0.075"}}));
  const Bill clamped = make_bill(kMilliPerSecond, {}, {{.held = 10s, .startup = 5s, .hold = 20s, .finished = true}});
  EXPECT_EQ(text_of(clamped), (Parts{{"startup", "0.005"}, {"hold", "0.005"}})) << "clocks disagree by a little";
}

TEST(Bill, EveryPartIsThereInItsOrder) {
  std::vector<std::string> names;
  for (const auto& [name, amount] : make_bill(kMilliPerSecond, {}, {}).parts) {
    names.push_back(name);
    EXPECT_EQ(amount.nano, 0);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"startup", "compute", "data_wait", "exchange", "straggler_wait", "optimizer",
                                      "evaluation", "checkpoint", "other", "hold", "lost", "shutdown"}));
}

// Slot billing: 2 ranks x 1 thread of 4 cores, 3.6 USD/h: 0.0005 USD a second. 60 s held, 5 s of them start-up; a
// complete epoch and half of one were trained, and nothing of it was kept.
TEST(Bill, AFailedRunLosesAllAfterItsStart) {
  const auto epoch = epoch_of({{Phase::kCompute, 30}, {Phase::kEvaluation, 5}}, 35);
  auto partial = epoch_of({{Phase::kCompute, 12}}, 12);
  partial.complete = false;
  const Bill bill = make_bill(price_of("3.6", Billing::kSlot), {.ranks = 2, .threads = 1, .cores_per_node = 4},
                              {{.held = 60s, .startup = 5s, .epochs = {epoch, partial}, .finished = false}});
  EXPECT_EQ(to_decimal(bill.total), "0.03");
  EXPECT_EQ(text_of(bill), (Parts{{"startup", "0.0025"}, {"lost", "0.0275"}}));
}

TEST(Bill, ALaunchThatNeverStartedIsLost) {
  const Bill bill = make_bill(kMilliPerSecond, {}, {{.held = 3s, .finished = false}});
  EXPECT_EQ(text_of(bill), (Parts{{"lost", "0.003"}}));
}

// Stopped on request: the weights were written, so the partial epoch counts as work.
TEST(Bill, ACleanStopLosesNothing) {
  auto partial = epoch_of({{Phase::kCompute, 6}, {Phase::kExchange, 1}}, 7);
  partial.complete = false;
  const Bill bill =
      make_bill(kMilliPerSecond, {}, {{.held = 10s, .startup = 2s, .epochs = {partial}, .finished = true}});
  EXPECT_EQ(text_of(bill),
            (Parts{{"startup", "0.002"}, {"compute", "0.006"}, {"exchange", "0.001"}, {"shutdown", "0.001"}}));
}

// First attempt: 20 s, lost. Second: 50 s, finished. Two nodes: 0.002 USD a second.
TEST(Bill, AttemptsAddUp) {
  const auto epoch = epoch_of({{Phase::kCompute, 40}}, 40);
  const Bill bill = make_bill(kMilliPerSecond, {.nodes = 2},
                              {{.held = 20s, .startup = 4s, .epochs = {}, .finished = false},
                               {.held = 50s, .startup = 5s, .epochs = {epoch}, .finished = true}});
  EXPECT_EQ(to_decimal(bill.total), "0.14");
  EXPECT_EQ(text_of(bill), (Parts{{"startup", "0.018"}, {"compute", "0.08"}, {"lost", "0.032"}, {"shutdown", "0.01"}}));
}

TEST(Bill, PhasesThatExceedTheTimeAreScaledToIt) {
  // 6 s are left after the start for 9 + 3 s of phases: half of each.
  const auto epoch = epoch_of({{Phase::kCompute, 9}, {Phase::kExchange, 3}}, 12);
  const Bill bill = make_bill(kMilliPerSecond, {}, {{.held = 10s, .startup = 4s, .epochs = {epoch}, .finished = true}});
  EXPECT_EQ(text_of(bill), (Parts{{"startup", "0.004"}, {"compute", "0.0045"}, {"exchange", "0.0015"}}));
}

TEST(Bill, AStartupBeyondTheTimeIsCut) {
  const Bill bill = make_bill(kMilliPerSecond, {}, {{.held = 2s, .startup = 5s, .finished = true}});
  EXPECT_EQ(text_of(bill), (Parts{{"startup", "0.002"}}));
}

TEST(Bill, AbsurdTimesLoseNoNano) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinite = std::numeric_limits<double>::infinity();
  const auto epoch = epoch_of({{Phase::kCompute, kNan}, {Phase::kExchange, -3}, {Phase::kOther, kInfinite}}, -1);
  const Bill bill =
      make_bill(kMilliPerSecond, {}, {{.held = 7s, .startup = -1s, .epochs = {epoch, epoch}, .finished = true}});
  EXPECT_EQ(text_of(bill), (Parts{{"other", "0.007"}}));
  EXPECT_EQ(to_decimal(make_bill(kMilliPerSecond, {}, {{.held = -7s, .startup = -1s}}).total), "0");
}

// 1 nano-dollar an hour for an hour, by thirds of 20 minutes: 1/3 each, and the earliest part gets the only nano.
TEST(Bill, TheOddNanoGoesToTheLargestRemainder) {
  const auto thirds = epoch_of({{Phase::kCompute, 1200}, {Phase::kExchange, 1200}}, 2400);
  const auto price = price_of("0.000000001", Billing::kNode);
  EXPECT_EQ(text_of(make_bill(price, {}, {{.held = 3600s, .startup = 1200s, .epochs = {thirds}, .finished = true}})),
            (Parts{{"startup", "0.000000001"}}));
  // 12 nanos an hour for 10 minutes are 2, over 3, 5 and 2 minutes: quotas 0.6, 1.0, 0.4. Floors leave one for the 0.6.
  const auto uneven = epoch_of({{Phase::kCompute, 300}, {Phase::kExchange, 120}}, 420);
  EXPECT_EQ(text_of(make_bill(price_of("0.000000012", Billing::kNode), {},
                              {{.held = 600s, .startup = 180s, .epochs = {uneven}, .finished = true}})),
            (Parts{{"startup", "0.000000001"}, {"compute", "0.000000001"}}));
}

/// A random attempt of whole milliseconds, whose parts are known as integers.
struct Drawn {
  AttemptTime attempt;
  std::vector<std::int64_t> parts_ms;  // in the order of a bill
};

Drawn draw(std::mt19937_64& random) {
  const auto up_to = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
  };
  Drawn drawn{.parts_ms = std::vector<std::int64_t>(kPhases + 4)};
  std::int64_t held_ms = drawn.parts_ms[0] = up_to(30'000);
  drawn.attempt.finished = up_to(3) != 0;
  std::int64_t after_start = 0;
  for (std::int64_t epochs = up_to(4); epochs > 0; --epochs) {
    record::Epoch epoch;
    std::int64_t wall_ms = 0;
    for (std::size_t phase = 0; phase < kPhases; ++phase) {
      const std::int64_t ms = up_to(3) == 0 ? 0 : up_to(20'000);
      epoch.seconds.values[phase] = static_cast<double>(ms) / 1e3;
      if (drawn.attempt.finished) drawn.parts_ms[1 + phase] += ms;
      wall_ms += ms;
    }
    epoch.wall_s = static_cast<double>(wall_ms) / 1e3;
    drawn.attempt.epochs.push_back(epoch);
    after_start += wall_ms;
  }
  const std::int64_t rest = up_to(5'000);
  if (drawn.attempt.finished) {
    drawn.parts_ms[kPhases + 3] = rest;
  } else {
    drawn.parts_ms[kPhases + 2] = after_start + rest;
  }
  held_ms += after_start + rest;
  drawn.attempt.held = std::chrono::milliseconds(held_ms);
  drawn.attempt.startup = std::chrono::milliseconds(drawn.parts_ms[0]);
  return drawn;
}

/// The definition: each part is its quota rounded down or up, and whoever was rounded up had no smaller a remainder.
void expect_largest_remainder(const Bill& bill, const std::vector<std::int64_t>& weights) {
  const Wide sum = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
  if (sum == 0) return;
  Wide least_up = sum, most_down = -1;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Wide product = Wide(bill.total.nano) * weights[i];
    const auto extra = static_cast<std::int64_t>(bill.parts[i].second.nano - product / sum);
    ASSERT_TRUE(extra == 0 || extra == 1) << bill.parts[i].first;
    if (extra == 1) least_up = std::min(least_up, product % sum);
    if (extra == 0) most_down = std::max(most_down, product % sum);
  }
  EXPECT_TRUE(least_up >= most_down);
}

TEST(Bill, RandomAttemptsMatchAnIndependentSum) {
  std::mt19937_64 random(20250701);
  for (int round = 0; round < 2000; ++round) {
    const Price price{.usd_per_node_hour = {static_cast<std::int64_t>(random() % 100'000'000'000)},
                      .billing = random() % 2 == 0 ? Billing::kNode : Billing::kSlot};
    const Holding holding{.nodes = 1 + static_cast<int>(random() % 8),
                          .ranks = 1 + static_cast<int>(random() % 64),
                          .threads = 1 + static_cast<int>(random() % 4),
                          .cores_per_node = 1 + static_cast<int>(random() % 96)};
    std::vector<AttemptTime> attempts;
    NanoUsd total;
    for (auto left = random() % 4; left > 0; --left) {
      const Drawn drawn = draw(random);
      attempts.push_back(drawn.attempt);
      const Bill alone = make_bill(price, holding, {drawn.attempt});
      // cost = rate x ns x share / 3.6e12, to half a nano-dollar: |2 (cost x den - num)| <= den
      const Wide share = price.billing == Billing::kNode ? holding.nodes : holding.ranks * holding.threads;
      const Wide den = Wide(3'600'000'000'000) * (price.billing == Billing::kNode ? 1 : holding.cores_per_node);
      const Wide error =
          Wide(alone.total.nano) * den - Wide(price.usd_per_node_hour.nano) * drawn.attempt.held.count() * share;
      EXPECT_TRUE(2 * (error < 0 ? -error : error) <= den) << "round " << round;
      expect_largest_remainder(alone, drawn.parts_ms);
      total += alone.total;
    }
    const Bill bill = make_bill(price, holding, attempts);
    ASSERT_EQ(bill.total, total) << "round " << round;
    ASSERT_EQ(sum_of(bill), bill.total) << "round " << round;
  }
}

// Times that no clock should give: the parts still sum, and none is negative.
TEST(Bill, RandomNoiseLosesNoNano) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> noise(-2.0, 10.0);
  for (int round = 0; round < 2000; ++round) {
    std::vector<AttemptTime> attempts(random() % 4);
    for (auto& attempt : attempts) {
      attempt = {.held = from_seconds(noise(random) * 5),
                 .startup = from_seconds(noise(random)),
                 .finished = random() % 2 == 0};
      attempt.epochs.resize(random() % 5);
      for (auto& epoch : attempt.epochs) {
        for (double& value : epoch.seconds.values) value = noise(random);
        epoch.wall_s = epoch.seconds.sum() + noise(random);
      }
    }
    const Bill bill = make_bill(price_of("63.296", Billing::kNode), {}, attempts);
    ASSERT_EQ(sum_of(bill), bill.total) << "round " << round;
    for (const auto& [name, amount] : bill.parts) ASSERT_GE(amount.nano, 0) << name << " in round " << round;
  }
}

}  // namespace
}  // namespace regatta
