#include "coordinator/run_bill.hpp"

#include <gtest/gtest.h>

#include "samples.hpp"

namespace regatta {
namespace {

using test::epoch_record;
using test::sample_price;

NanoUsd part_of(const Bill& bill, const std::string& name) {
  for (const auto& [part, amount] : bill.parts)
    if (part == name) return amount;
  throw std::logic_error("no part " + name);
}

/// Held 10 s of which 1 s started and two epochs took 3 s each: at 12,500 nano-dollars a second.
RunState run_that_ended(std::optional<int> exit_code, const std::string& stop_reason) {
  AttemptState attempt{.epochs = {epoch_record(1, 3), epoch_record(2, 3)}, .held_s = 10, .startup_s = 1};
  if (!stop_reason.empty()) attempt.stop = test::stop_record(exit_code.value_or(0), stop_reason);
  attempt.exit_code = exit_code;
  attempt.lost = !exit_code;
  return {.cores_per_node = 2, .attempts = {attempt}};
}

struct Case {
  const char* what;
  std::optional<int> exit_code;
  const char* stop_reason;
  std::int64_t compute, lost;
};

TEST(RunBill, CountsWorkAsLostUnlessItsWeightsWereKept) {
  const Case table[] = {
      {"all epochs", 0, "epochs", 75'000, 0},
      {"a time limit", 0, "max_time", 75'000, 0},
      {"stopped on request", 75, "signal", 75'000, 0},
      {"a loss that is no number", 14, "non_finite", 0, 112'500},
      {"an error", 15, "error", 0, 112'500},
      {"killed after its stop line", 137, "epochs", 0, 112'500},
      {"lost with its coordinator", std::nullopt, "", 0, 112'500},
  };
  for (const auto& [what, exit_code, stop_reason, compute, lost] : table) {
    const Bill bill = run_bill(run_that_ended(exit_code, stop_reason), sample_price());
    EXPECT_EQ(bill.total.nano, 125'000) << what;
    EXPECT_EQ(part_of(bill, "startup").nano, 12'500) << what;
    EXPECT_EQ(part_of(bill, "compute").nano, compute) << what;
    EXPECT_EQ(part_of(bill, "lost").nano, lost) << what;
  }
}

TEST(RunBill, SumsAttemptsAndWaitsForOpenOnes) {
  RunState run = run_that_ended(0, "epochs");
  run.attempts.insert(run.attempts.begin(), run_that_ended(137, "").attempts.front());
  run.attempts.push_back(AttemptState{.attempt = 3, .epochs = {epoch_record(1, 3)}});
  const Bill bill = run_bill(run, sample_price());
  EXPECT_EQ(bill.total.nano, 250'000);
  EXPECT_EQ(part_of(bill, "lost").nano, 112'500);
}

TEST(RunBill, HoldsWhatTheRunWasGiven) {
  const RunState run{.nodes = 2, .ranks = 8, .threads = 3, .cores_per_node = 16};
  const Holding holding = holding_of(run);
  EXPECT_EQ(holding.nodes, 2);
  EXPECT_EQ(holding.ranks, 8);
  EXPECT_EQ(holding.threads, 3);
  EXPECT_EQ(holding.cores_per_node, 16);
}

}  // namespace
}  // namespace regatta
