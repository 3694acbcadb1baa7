// Intervals and verdicts hold what they promise: thousands of simulated comparisons with known truth, fixed seed,
// independent normal epoch times, all through the real compare().

#include <gtest/gtest.h>

#include <random>

#include "comparison_runs.hpp"

namespace regatta {
namespace {

using test::RunRecipe;

constexpr int kComparisons = 1000;
constexpr double kTrueMean = 5, kDeviation = 0.25;

/// How the n values of an interval come about.
enum class Source { kEpochs, kRepeats };

struct Sample {
  Source source;
  int count;
};

class Simulated : public testing::TestWithParam<Sample> {
 protected:
  /// Runs of one configuration that give intervals over `count` values around `mean`. A first epoch that must not
  /// count lies far off.
  std::vector<RunState> runs_of(const std::string& configuration) {
    std::normal_distribution<double> epoch_time(kTrueMean, kDeviation);
    RunRecipe recipe = test::named(configuration);
    std::vector<RunState> runs;
    const auto [source, count] = GetParam();
    const int repeats = source == Source::kRepeats ? count : 1;
    const int epochs = source == Source::kEpochs ? count : 1;
    for (recipe.repeat = 1; recipe.repeat <= repeats; ++recipe.repeat) {
      recipe.walls = {3 * kTrueMean};
      for (int epoch = 0; epoch < epochs; ++epoch) recipe.walls.push_back(epoch_time(random_));
      runs.push_back(make_run(recipe));
    }
    return runs;
  }

  Comparison compare_all(const std::vector<RunState>& one, const std::vector<RunState>& other) {
    std::vector<const RunState*> runs;
    for (const auto* part : {&one, &other})
      for (const auto& run : *part) runs.push_back(&run);
    return compare(runs);
  }

  std::mt19937_64 random_{20250701};
};

TEST_P(Simulated, IntervalsCoverTheTruthInNineteenOfTwentyCases) {
  int covered = 0, covered_cost = 0;
  for (int i = 0; i < kComparisons; ++i) {
    const auto comparison = compare_all(runs_of("one"), {});
    const auto& row = comparison.rows.at(0);
    ASSERT_TRUE(row.seconds_per_epoch.low && row.usd_per_epoch.low);
    covered += *row.seconds_per_epoch.low <= kTrueMean && kTrueMean <= *row.seconds_per_epoch.high;
    const double true_cost = kTrueMean * 0.09 / 3600 / 2;  // one of two slots
    covered_cost += *row.usd_per_epoch.low <= true_cost && true_cost <= *row.usd_per_epoch.high;
  }
  EXPECT_GE(covered, 930);
  EXPECT_LE(covered, 970);
  EXPECT_NEAR(covered_cost, covered, 2);
}

TEST_P(Simulated, TrueTiesHaveNoClearWinner) {
  int no_winner = 0;
  for (int i = 0; i < kComparisons; ++i) {
    const auto& verdict = compare_all(runs_of("one"), runs_of("other")).verdict;
    if (verdict.fastest.empty() && verdict.cheapest.empty()) {
      ++no_winner;
      EXPECT_NE(verdict.sentence.find("no clear winner"), std::string::npos) << verdict.sentence;
      EXPECT_EQ(verdict.confidence, "none");
    }
  }
  EXPECT_GE(no_winner, 980);
  EXPECT_LT(no_winner, kComparisons) << "never a false alarm: the test could not see one";
}

INSTANTIATE_TEST_SUITE_P(Sizes, Simulated,
                         testing::Values(Sample{Source::kEpochs, 3}, Sample{Source::kEpochs, 8},
                                         Sample{Source::kRepeats, 3}, Sample{Source::kRepeats, 8}),
                         [](const auto& tested) {
                           return std::string(tested.param.source == Source::kEpochs ? "Epochs" : "Repeats") +
                                  std::to_string(tested.param.count);
                         });

}  // namespace
}  // namespace regatta
