// Every stop ends all ranks after the same step and says why; what a stop by cost had spent when the ranks decided.

#include "common/files.hpp"
#include "coordinator/run_bill.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr, testing::IsEmpty;

/// $0.01 a second for a node of two cores, by slot.
constexpr const char* kDearPool =
    "pools:\n  here: {launcher: local, cores_per_node: 2, price: {usd_per_node_hour: 36, billing: slot, market: "
    "on_demand, region: here, source: made up, date: 2026-01-01}}\n";

/// "after 120": where the last line of a rank's log says that it ended.
std::string end_of(const RunState& run, int rank) {
  const std::string log = read_file(fs::path(run.run_dir) / "attempt-1" / ("rank-" + std::to_string(rank) + ".log"));
  const auto at = log.rfind("after ");
  return at == std::string::npos ? "no end" : log.substr(at, log.find(' ', at + 6) - at);
}

class StopsTest : public SystemTest {
 protected:
  /// One rank and two ranks, each ended by `stop`; returns the runs, after what holds for all of them.
  std::vector<RunState> run_until(const std::string& stop, const std::string& reason,
                                  const std::vector<std::string>& more = {}) {
    std::string text = tiny_job({kOneCore, kTwoCores}, 1);
    text.replace(text.find("{epochs: 1}"), 11, stop);
    std::vector<std::string> command{"run", folder_.write("job.yaml", text), "--cluster",
                                     folder_.write("cluster.yaml", kDearPool)};
    command.insert(command.end(), more.begin(), more.end());
    const auto result = regatta(command);
    EXPECT_EQ(result.exit_code, 0) << result.text();
    auto all = runs();
    EXPECT_EQ(all.size(), 2U);
    for (const RunState& run : all) {
      EXPECT_EQ(run.status, RunStatus::kDone);
      EXPECT_EQ(run.reason, reason) << run.configuration;
      const AttemptState& attempt = run.attempts.at(0);
      EXPECT_TRUE(attempt.stop && !attempt.epochs.empty());
      EXPECT_EQ(attempt.stop->reason, reason);
      EXPECT_EQ(attempt.stop->steps, attempt.epochs.back().last_step);
      EXPECT_TRUE(attempt.epochs.back().test_accuracy) << "the final weights have figures";
      for (int rank = 0; rank < run.ranks; ++rank)
        EXPECT_EQ(end_of(run, rank), "after " + std::to_string(attempt.stop->steps)) << run.configuration;
    }
    EXPECT_THAT(ranks(), IsEmpty());
    return all;
  }
};

TEST_F(StopsTest, TargetAccuracyEndsAfterTheEvaluationThatMeetsIt) {
  for (const RunState& run : run_until("{epochs: 50, target_accuracy: 0.5}", "target_accuracy")) {
    const auto& epochs = run.attempts[0].epochs;
    EXPECT_LT(epochs.size(), 50U);
    EXPECT_GE(*epochs.back().test_accuracy, 0.5);
    for (std::size_t i = 0; i + 1 < epochs.size(); ++i) EXPECT_LT(*epochs[i].test_accuracy, 0.5);
  }
}

TEST_F(StopsTest, TargetLossEndsAfterTheEvaluationThatMeetsIt) {
  for (const RunState& run : run_until("{target_loss: 1}", "target_loss")) {
    const auto& epochs = run.attempts[0].epochs;
    EXPECT_LE(*epochs.back().test_loss, 1);
    for (std::size_t i = 0; i + 1 < epochs.size(); ++i) EXPECT_GT(*epochs[i].test_loss, 1);
  }
}

TEST_F(StopsTest, ATargetMetInTheLastEpochIsTheReason) {
  run_until("{epochs: 1, target_accuracy: 0.01}", "target_accuracy");
}

TEST_F(StopsTest, MaxTimeEndsBetweenSteps) {
  for (const RunState& run : run_until("{max_time: 2s}", "max_time")) EXPECT_GE(run.attempts[0].held_s.value_or(0), 2);
}

TEST_F(StopsTest, MaxCostEndsWithinAStepOfTheLimitAndTheRestIsBilled) {
  options_.environment["REGATTA_TEST_DELAY"] = "compute";
  options_.environment["REGATTA_TEST_DELAY_MS"] = "400";  // a step
  const NanoUsd limit = *parse_usd("0.02");
  for (const RunState& run :
       run_until("{max_cost_usd: 0.02}", "max_cost_usd", {"--worker", binary("wrapped-worker")})) {
    const AttemptState& attempt = run.attempts[0];
    ASSERT_TRUE(attempt.stop->cost_decision && run.bill && run.price);
    EXPECT_EQ(attempt.stop->cost_decision->limit, limit);
    const NanoUsd accrued = attempt.stop->cost_decision->accrued;
    EXPECT_GE(accrued, limit);
    const NanoUsd a_step = holding_cost(*run.price, holding_of(run), std::chrono::milliseconds(600));
    EXPECT_LT(accrued.nano, limit.nano + a_step.nano) << run.configuration;
    EXPECT_GT(run.bill->total, accrued) << "evaluation, weights and shutdown cost too";
    EXPECT_THAT(regatta({"show", run.id.value}).out, HasSubstr("$0.02 after step"));
  }
}

TEST_F(StopsTest, AnEvaluationThatSpendsTheRestIsTheLastThing) {
  options_.environment["REGATTA_TEST_DELAY"] = "evaluation";
  options_.environment["REGATTA_TEST_DELAY_MS"] = "1500";  // a batch; the test set is one
  for (const RunState& run :
       run_until("{max_cost_usd: 0.01}", "max_cost_usd", {"--worker", binary("wrapped-worker")})) {
    const AttemptState& attempt = run.attempts[0];
    EXPECT_TRUE(attempt.epochs.back().complete) << "no step was taken after it";
    const NanoUsd an_evaluation = holding_cost(*run.price, holding_of(run), std::chrono::milliseconds(3500));
    EXPECT_LT(attempt.stop->cost_decision->accrued.nano, parse_usd("0.01")->nano + an_evaluation.nano);
  }
}

}  // namespace
}  // namespace regatta::test
