// 200 ms a step, put into one part on purpose, appear in that part's phase and nowhere else. Looked at is the second
// epoch: the first one pays for what is done once.

#include <gtest/gtest.h>

#include <cmath>

#include "common/host.hpp"
#include "tests/mpi/training_run.hpp"

namespace regatta::test {
namespace {

constexpr int kSteps = 10, kRanks = 3;
constexpr double kDelay = 0.2;

/// Small, so that a step's own work (well under a millisecond) disappears beside the delay.
std::string job(int samples) {
  return "name: delays\nmodel: {kind: mlp, hidden: [8]}\ndata: {format: synthetic, samples: " +
         std::to_string(samples) +
         ", shape: [1, 4, 4], classes: 4}\ntrain: {batch: 12, optimizer: {kind: sgd, lr: 0.05}}\nstop: {epochs: 2}\n";
}

TrainingRun run_delayed(const std::string& part, const std::string& rank = "", int samples = 12 * kSteps,
                        const std::string& delay_ms = "200", bool streamed = false) {
  std::map<std::string, std::string> environment{{"REGATTA_TEST_DELAY", part}, {"REGATTA_TEST_DELAY_MS", delay_ms}};
  if (!rank.empty()) environment["REGATTA_TEST_DELAY_RANK"] = rank;
  // These two parts can be made slow in the MPI exchanger alone; the others are tested with the node's.
  if (part == "exchange" || part == "optimizer") environment["REGATTA_WITHOUT"] = "node_exchanger";
  Plan plan = plan_for(job(samples), kRanks);
  plan.streamed = streamed;
  return train(to_json(plan), environment);
}

void expect_only(const PhaseSeconds& seconds, Phase phase, double expected, const std::string& where) {
  for (std::size_t i = 0; i < kPhases; ++i) {
    const double wanted = static_cast<Phase>(i) == phase ? expected : 0;
    EXPECT_NEAR(seconds.values[i], wanted, 0.1 * expected) << where << ": " << to_text(static_cast<Phase>(i));
  }
}

void expect_partition(const PhaseSeconds& seconds, double wall_s) {
  EXPECT_NEAR(seconds.sum(), wall_s, 0.01 * wall_s);
  EXPECT_LE(seconds[Phase::kOther], 0.03 * wall_s);
}

void expect_everywhere(const TrainingRun& run, Phase phase, double expected) {
  ASSERT_EQ(run.rows.size(), kRanks);
  for (std::size_t rank = 0; rank < run.rows.size(); ++rank) {
    expect_only(run.rows[rank].seconds, phase, expected, "rank " + std::to_string(rank));
    expect_partition(run.rows[rank].seconds, run.rows[rank].wall_s);
  }
  const record::Epoch& epoch = run.epochs.back();
  expect_only(epoch.seconds, phase, expected, "epoch");
  expect_partition(epoch.seconds, epoch.wall_s);
}

TEST(Delays, OfBatchProductionAreDataWait) {
  // A step's compute, which hides production, is far below the tolerance here.
  expect_everywhere(run_delayed("production"), Phase::kDataWait, kSteps * kDelay);
}
TEST(Delays, OfStreamedProductionAreDataWait) {
  expect_everywhere(run_delayed("production", "", 12 * kSteps, "200", /*streamed=*/true), Phase::kDataWait,
                    kSteps * kDelay);
}
TEST(Delays, OfTheExchangeAreExchange) {
  expect_everywhere(run_delayed("exchange"), Phase::kExchange, kSteps * kDelay);
}
TEST(Delays, OfTheOptimizerAreOptimizer) {
  expect_everywhere(run_delayed("optimizer"), Phase::kOptimizer, kSteps * kDelay);
}

TEST(Delays, OfEvaluationAreEvaluation) {
  // The test set is a tenth: 120 samples, 40 on each rank, 10 batches of 12 / 3. So there are 100 steps, whose own work
  // must disappear beside the delay as well.
  expect_everywhere(run_delayed("evaluation", "", 1200, "500"), Phase::kEvaluation, 10 * 0.5);
}

TEST(Delays, OfOneRanksComputeMakeTheOthersWait) {
  const TrainingRun run = run_delayed("compute", "1");
  ASSERT_EQ(run.rows.size(), kRanks);
  const double delayed = kSteps * kDelay;
  for (std::size_t rank = 0; rank < kRanks; ++rank) {
    expect_only(run.rows[rank].seconds, rank == 1 ? Phase::kCompute : Phase::kStragglerWait, delayed,
                "rank " + std::to_string(rank));
    expect_partition(run.rows[rank].seconds, run.rows[rank].wall_s);
  }
  const PhaseSeconds& mean = run.epochs.back().seconds;
  EXPECT_NEAR(mean[Phase::kCompute], delayed / kRanks, 0.1 * delayed);
  EXPECT_NEAR(mean[Phase::kStragglerWait], delayed * (kRanks - 1) / kRanks, 0.1 * delayed);
  expect_partition(mean, run.epochs.back().wall_s);
  const auto& late = run.epochs.back().stragglers;
  ASSERT_TRUE(late);
  EXPECT_EQ(late->ranks, std::vector<int>{1});
  EXPECT_EQ(late->hosts, std::vector<std::string>{host_name()});
  EXPECT_NEAR(late->waited_s, delayed, 0.1 * delayed);
}

TEST(Delays, OfAllRanksAlikeMakeNobodyAStraggler) {
  EXPECT_FALSE(run_delayed("exchange").epochs.back().stragglers);
}

}  // namespace
}  // namespace regatta::test
