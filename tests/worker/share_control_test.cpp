// Rank 0 of two, without MPI: the other one's answers are the test's.

#include "worker/share_control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.hpp"
#include "tests/support/process.hpp"
#include "tests/worker/worker_samples.hpp"

namespace regatta {
namespace {

using testing::ElementsAre;

class TwoRanks final : public RankContext {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 2; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 2; }
  void barrier() override {}
  void node_barrier() override {}
  void allreduce(std::span<double>, Reduce) override {}
  std::string broadcast(std::string text) override {
    told = parse_journal(read_file(folder.path() / "journal.jsonl"));
    return text;
  }
  std::vector<std::string> gather(std::string text) override { return {std::move(text), other}; }
  std::byte* node_shared(std::size_t) override { return nullptr; }
  void abandon() override {}

  test::TemporaryFolder folder;
  std::string other;              ///< what rank 1 measured
  std::vector<JournalLine> told;  ///< the journal when the others were told last
};

class ShareControlTest : public testing::Test {
 protected:
  ShareControlTest() { plan_.training.train.shares = ShareRule::kMeasured; }

  /// Steps in which rank 1 takes `times` as long for a sample.
  static void measure(ShareControl& control, TwoRanks& ranks, std::int64_t first, std::int64_t last, double times) {
    std::int64_t own = 0, other = 0;
    for (std::int64_t step = first; step <= last; ++step) {
      const std::int64_t mine = 128 * control.weights()[0] / (control.weights()[0] + control.weights()[1]);
      control.after_step(step, {.compute_s = 0.001 * static_cast<double>(mine), .samples = mine});
      own += mine;
      other += 128 - mine;
    }
    ranks.other = Json{{"compute_s", times * 0.001 * static_cast<double>(other)}, {"samples", other}}.dump();
  }
  static record::Shares last_told(const TwoRanks& ranks) { return std::get<record::Shares>(ranks.told.back().body); }

  Plan plan_ = test::small_plan(1280, 128, {1, 1});
  TwoRanks ranks_;
  Journal journal_{ranks_.folder.path(), new_run_id(), 1, nullptr};
};

TEST_F(ShareControlTest, DecidesAtTheStartAfterTheProbeAndBetweenEpochs) {
  ShareControl control(plan_, ranks_, &journal_);
  EXPECT_TRUE(control.due(1, true));
  EXPECT_FALSE(control.decide(1, 1));
  EXPECT_THAT(last_told(ranks_).weights, ElementsAre(1, 1)) << "what the run begins with";
  EXPECT_TRUE(last_told(ranks_).seconds_per_sample.empty());

  measure(control, ranks_, 1, 10, 3);
  EXPECT_FALSE(control.due(11, true)) << "the epoch ends, and too few steps were measured";
  measure(control, ranks_, 11, 20, 3);
  EXPECT_TRUE(control.due(21, false));
  EXPECT_TRUE(control.decide(3, 21));
  EXPECT_THAT(control.weights(), ElementsAre(96, 32));

  measure(control, ranks_, 21, 40, 3);
  EXPECT_FALSE(control.due(41, false)) << "in the middle of an epoch";
  EXPECT_TRUE(control.due(41, true));
  EXPECT_FALSE(control.decide(5, 41)) << "nothing new";
  measure(control, ranks_, 41, 60, 1.0 / 3);
  EXPECT_TRUE(control.decide(7, 61));
  EXPECT_THAT(control.weights(), ElementsAre(32, 96));
}

TEST_F(ShareControlTest, StandsInTheJournalBeforeAnybodyKnows) {
  ShareControl control(plan_, ranks_, &journal_);
  control.decide(1, 1);
  measure(control, ranks_, 1, 20, 3);
  control.decide(2, 21);
  ASSERT_EQ(ranks_.told.size(), 2U);
  const record::Shares line = last_told(ranks_);
  EXPECT_EQ(line.from_epoch, 2);
  EXPECT_EQ(line.from_step, 21);
  EXPECT_THAT(line.weights, ElementsAre(96, 32));
  EXPECT_THAT(line.seconds_per_sample, ElementsAre(testing::DoubleNear(0.001, 1e-9), testing::DoubleNear(0.003, 1e-9)));
}

TEST_F(ShareControlTest, CountsInSamplesOfAPartOfTheBatch) {
  plan_.training.train.accumulate = 4;
  ShareControl control(plan_, ranks_, &journal_);
  measure(control, ranks_, 1, 20, 3);
  control.decide(2, 21);
  EXPECT_THAT(control.weights(), ElementsAre(24, 8));
}

TEST_F(ShareControlTest, NothingIsMeasuredWhereNothingMayChange) {
  Plan equal = plan_, trial = plan_;
  equal.training.train.shares = ShareRule::kEqual;
  trial.trial = TrialLimits{};
  for (const Plan& plan : {equal, trial}) {
    ShareControl control(plan, ranks_, &journal_);
    measure(control, ranks_, 1, 40, 3);
    for (const std::int64_t next : {1, 21, 41})
      for (const bool new_epoch : {false, true}) EXPECT_FALSE(control.due(next, new_epoch));
  }
  const auto alone = make_solo_context();
  ShareControl one(plan_, *alone, &journal_);
  EXPECT_FALSE(one.due(1, true));
}

TEST_F(ShareControlTest, ObeysThePlanThatHasThem) {
  plan_.share_changes = {{.from_step = 1, .weights = {2, 1}}, {.from_step = 7, .weights = {0, 5}}};
  ShareControl control(plan_, ranks_, &journal_);
  EXPECT_TRUE(control.due(1, true));
  EXPECT_TRUE(control.decide(1, 1));
  EXPECT_THAT(control.weights(), ElementsAre(2, 1));
  measure(control, ranks_, 1, 40, 9);
  EXPECT_FALSE(control.due(6, true));
  EXPECT_TRUE(control.due(7, false));
  EXPECT_TRUE(control.decide(2, 7));
  EXPECT_THAT(control.weights(), ElementsAre(0, 5));
  EXPECT_FALSE(control.due(41, true));
}

}  // namespace
}  // namespace regatta
