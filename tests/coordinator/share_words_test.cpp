#include "coordinator/share_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/run_words.hpp"
#include "samples.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::ElementsAre, testing::HasSubstr, testing::Not;

const record::Shares kFirst{.from_epoch = 1, .from_step = 1, .weights = {1, 1}};
const record::Shares kProbed{
    .from_epoch = 1, .from_step = 21, .weights = {96, 32}, .seconds_per_sample = {0.0001, 0.0003}};

/// 60,000 samples in 6 s: compute alone would take 4.5.
record::Epoch epoch_of(double train_s) {
  record::Epoch epoch = epoch_record(1, train_s);
  epoch.seconds = {};
  epoch.seconds[Phase::kCompute] = 4.5;
  epoch.seconds[Phase::kOptimizer] = 0.3;
  epoch.seconds[Phase::kDataWait] = 0.1;
  epoch.seconds[Phase::kOther] = 0.1;
  epoch.seconds[Phase::kStragglerWait] = train_s - 5;
  return epoch;
}

AttemptState attempt_with(const std::vector<record::Shares>& shares, double train_s = 6) {
  AttemptState attempt;
  attempt.shares = shares;
  attempt.epochs = {epoch_of(train_s)};
  return attempt;
}

// The fast rank alone: 6 s of compute and half a second beside it, 60,000 / 6.5 samples/s.
TEST(SlowRanks, PaidWhenAllAreFasterThanTheFastAlone) {
  const AttemptState attempt = attempt_with({kFirst, kProbed});
  const auto worth = slow_ranks_worth(attempt);
  ASSERT_TRUE(worth);
  EXPECT_THAT(worth->fast, ElementsAre(0));
  EXPECT_DOUBLE_EQ(worth->all_samples_per_s, 10'000);
  EXPECT_NEAR(worth->fast_samples_per_s, 60'000 / 6.5, 1e-6);
  EXPECT_EQ(worth_sentence(attempt),
            "the slow ranks paid: 10000 samples/s with all 2 ranks, with rank 0 alone 9231 (estimated)");
}

TEST(SlowRanks, DidNotPayWhenTheFastAloneWouldBeFaster) {
  EXPECT_EQ(worth_sentence(attempt_with({kFirst, kProbed}, 8)),
            "the slow ranks did not pay: 7500 samples/s with all 2 ranks, with rank 0 alone 9231 (estimated)");
}

TEST(SlowRanks, AreThoseBelowFourFifthsOfTheFastest) {
  record::Shares alike = kProbed;
  alike.seconds_per_sample = {0.0001, 0.00012};
  EXPECT_EQ(worth_sentence(attempt_with({alike})),
            "no rank is slow: the slowest has 83 % of the fastest's speed (estimated)");
  record::Shares three{.weights = {3, 3, 1}, .seconds_per_sample = {0.0001, 0.0001, 0.0003}};
  EXPECT_THAT(worth_sentence(attempt_with({three})), HasSubstr("with ranks 0, 1 alone"));
  three.seconds_per_sample = {0.0001, 0, 0.0003};
  EXPECT_THAT(slow_ranks_worth(attempt_with({three}))->fast, ElementsAre(0)) << "one is not known";
}

/// 8 GPUs and 16 cores a node, by slot.
RunState mixed_run(int gpu_ranks, int cpu_ranks, int threads) {
  RunState run;
  run.price = sample_price();
  run.ranks = gpu_ranks + cpu_ranks;
  run.cpu_ranks = cpu_ranks;
  run.threads = threads;
  run.cores_per_node = 16;
  run.gpus_per_node = 8;
  return run;
}

// 60,000 samples: 6 s of compute on the GPU and half a second beside it, so alone 9231 a second; all ranks 10,000.
TEST(CpuRanks, AreHeldAgainstTheGpusAlone) {
  const RunState run = mixed_run(1, 1, 2);  // an eighth of the GPUs, an eighth of the cores
  EXPECT_EQ(
      worth_sentence(attempt_with({kFirst, kProbed}), cpu_ranks_of(run)),
      "adding the CPUs paid: 10000 samples/s with all 2 ranks, with the GPU alone 9231 (estimated); a sample costs "
      "0.923x as much (estimated)");
  EXPECT_EQ(
      worth_sentence(attempt_with({kFirst, kProbed}, 8), cpu_ranks_of(run)),
      "adding the CPUs did not pay: 7500 samples/s with all 2 ranks, with the GPU alone 9231 (estimated); a sample "
      "costs 1.23x as much (estimated)");
}

TEST(CpuRanks, AreTheLastOnesHoweverFast) {
  record::Shares three{.weights = {3, 3, 3}, .seconds_per_sample = {0.0002, 0.0001, 0.0001}};
  const auto worth = slow_ranks_worth(attempt_with({three}), 1);
  ASSERT_TRUE(worth);
  EXPECT_THAT(worth->fast, ElementsAre(0, 1)) << "a CPU rank as fast as a GPU is one all the same";
  EXPECT_NEAR(worth->fast_samples_per_s, 60'000 / (60'000 / 15'000.0 + 0.5), 1e-6);
  EXPECT_THAT(worth_sentence(attempt_with({three}), {.count = 1}), HasSubstr("with the 2 GPUs alone"));
  three.seconds_per_sample = {0, 0, 0.0001};
  EXPECT_FALSE(slow_ranks_worth(attempt_with({three}), 1)) << "nothing is known of the GPUs";
}

TEST(CpuRanks, CostWhatTheLargerShareDoes) {
  EXPECT_EQ(cpu_ranks_of(mixed_run(2, 2, 1)).times_billed, 1) << "an eighth of the cores beside a quarter of the GPUs";
  EXPECT_EQ(cpu_ranks_of(mixed_run(2, 4, 2)).times_billed, 2) << "half of the cores";
  RunState run = mixed_run(2, 4, 2);
  run.price->billing = Billing::kNode;
  EXPECT_EQ(cpu_ranks_of(run).times_billed, 1);
  run.price.reset();
  EXPECT_EQ(cpu_ranks_of(run).times_billed, std::nullopt);
  EXPECT_EQ(cpu_ranks_of(mixed_run(2, 0, 1)).count, 0);
}

TEST(SlowRanks, NothingIsSaidWithoutSpeedsOrEpochs) {
  AttemptState attempt = attempt_with({kFirst});
  EXPECT_EQ(worth_sentence(attempt), "");
  attempt = attempt_with({kProbed});
  attempt.epochs[0].complete = false;
  EXPECT_EQ(worth_sentence(attempt), "");
  record::Shares unknown = kProbed;
  unknown.seconds_per_sample = {0, 0};
  EXPECT_EQ(worth_sentence(attempt_with({unknown})), "");
  EXPECT_EQ(worth_sentence({}), "");
}

TEST(SharesHistory, HasWhatChanged) {
  record::Shares same = kProbed;
  same.from_epoch = 2;
  EXPECT_EQ(shares_history(attempt_with({kFirst, kProbed, same})),
            "50.0 : 50.0 %; from epoch 1, step 21: 75.0 : 25.0 %");
  EXPECT_EQ(shares_history({}), "");
  std::vector<record::Shares> many;
  for (int epoch = 1; epoch <= 9; ++epoch)
    many.push_back({.from_epoch = epoch, .from_step = epoch, .weights = {epoch, 1}});
  EXPECT_THAT(shares_history(attempt_with(many)), testing::StartsWith("...; from epoch 5, step 5: 83.3 : 16.7 %; "));
}

TEST(SharesTable, HasALineADecision) {
  // clang-format off
  EXPECT_EQ(shares_table(attempt_with({kFirst, kProbed}), false),
            "\n"
            "from epoch  step  shares by rank  samples/s by rank (estimated from compute)\n"
            "         1     1  50.0 : 50.0 %   -\n"
            "         1    21  75.0 : 25.0 %   10000 : 3333\n");
  // clang-format on
  EXPECT_EQ(shares_table({}, false), "");
  record::Shares wide{.weights = std::vector<std::int64_t>(64, 1)};
  EXPECT_THAT(shares_table(attempt_with({wide}), false), HasSubstr("1.6 : ... of 64 ranks %"));
}

TEST(CpuRanks, AreShownByShowAndCompare) {
  const std::string id = "01JZR1AAAAAAAAAAAAAAAAAAAA";
  Json body = run_body();
  body.update({{"backend", "nccl"}, {"ranks", 2}, {"cpu_ranks", 1}, {"gpus_per_node", 1}});
  std::vector<Event> events = finished_run(id, "01JZC1AAAAAAAAAAAAAAAAAAAA");
  for (Event& event : events)
    if (event.kind == "run") {
      body["comparison_id"] = event.body["comparison_id"];
      event.body = body;
    }
  events.push_back(journal(id, 1, 100, kFirst, 12));
  events.push_back(journal(id, 1, 101, kProbed, 12));
  const State state = fold(events);
  const RunState& run = state.runs.at(id);
  EXPECT_EQ(run.cpu_ranks, 1);
  EXPECT_THAT(to_page(run, false), AllOf(HasSubstr("1 GPU rank + 1 CPU rank x 1 thread, nccl"),
                                         HasSubstr("shares         adding the CPUs")));
  EXPECT_EQ(to_json(run).at("cpu_ranks"), 1);
  const Comparison comparison = compare({&run});
  EXPECT_THAT(to_table(comparison, false), AllOf(HasSubstr("1 GPU + 1 x 1"), HasSubstr("adding the CPUs")));
  EXPECT_THAT(to_markdown(comparison), HasSubstr("| 1 GPU + 1 x 1 |"));
  EXPECT_EQ(to_json(comparison).at("configurations")[0].at("cpu_ranks"), 1);
}

TEST(SharesOfARun, AreShownByShowAndCompare) {
  std::vector<Event> events = finished_run("01JZR1AAAAAAAAAAAAAAAAAAAA", "01JZC1AAAAAAAAAAAAAAAAAAAA");
  const auto plain = fold(events);
  const RunState& equal = plain.runs.at("01JZR1AAAAAAAAAAAAAAAAAAAA");
  EXPECT_THAT(to_page(equal, false), Not(HasSubstr("shares")));
  EXPECT_THAT(to_table(compare({&equal}), false), Not(HasSubstr("shares")));

  events.push_back(journal("01JZR1AAAAAAAAAAAAAAAAAAAA", 1, 100, kFirst, 12));
  events.push_back(journal("01JZR1AAAAAAAAAAAAAAAAAAAA", 1, 101, kProbed, 12));
  const State state = fold(events);
  const RunState& run = state.runs.at("01JZR1AAAAAAAAAAAAAAAAAAAA");
  EXPECT_THAT(to_page(run, false),
              testing::AllOf(HasSubstr("shares         the slow ranks"), HasSubstr("75.0 : 25.0 %")));
  const Json json = to_json(run);
  EXPECT_EQ(
      json.at("attempts")[0].at("shares")[1],
      Json({{"from_epoch", 1}, {"from_step", 21}, {"weights", {96, 32}}, {"seconds_per_sample", {0.0001, 0.0003}}}));
  const Comparison comparison = compare({&run});
  EXPECT_THAT(to_table(comparison, false), HasSubstr("one-core: shares 50.0 : 50.0 %; from epoch 1, step 21: 75.0"));
  EXPECT_THAT(to_markdown(comparison), HasSubstr("one-core: shares 50.0 : 50.0 %; from epoch 1"));
  EXPECT_THAT(to_json(comparison).at("configurations")[0].at("slow_ranks").get<std::string>(), HasSubstr("paid"));
}

}  // namespace
}  // namespace regatta::test
