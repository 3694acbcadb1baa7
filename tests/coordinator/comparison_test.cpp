#include "coordinator/comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "comparison_runs.hpp"

namespace regatta {
namespace {

using test::compare_recipes;
using test::make_run;
using test::named;
using test::RunRecipe;

RunRecipe with_walls(std::vector<double> walls, RunRecipe recipe = {}) {
  recipe.walls = std::move(walls);
  return recipe;
}

RunRecipe nth(int repeat, RunRecipe recipe) {
  recipe.repeat = repeat;
  return recipe;
}

ComparisonRow only_row(const std::vector<RunRecipe>& recipes, const std::map<std::string, NanoUsd>& reprice = {}) {
  const auto comparison = compare_recipes(recipes, reprice);
  EXPECT_EQ(comparison.rows.size(), 1U);
  return comparison.rows.at(0);
}

TEST(Comparison, LeavesOutTheEpochThatWarmsUp) {
  const auto row = only_row({with_walls({90, 4, 5, 6})});
  EXPECT_DOUBLE_EQ(row.seconds_per_epoch.mean, 5);
  EXPECT_NEAR(*row.seconds_per_epoch.high - 5, 4.303 / std::sqrt(3.0), 1e-3);  // s = 1
  EXPECT_EQ(row.epochs, 4);
  EXPECT_DOUBLE_EQ(row.samples_per_s, 60'000 / (0.75 * 5));
  EXPECT_DOUBLE_EQ(row.seconds[Phase::kCompute], 2.5);
  EXPECT_DOUBLE_EQ(row.seconds.sum(), 5);
}

TEST(Comparison, OneEpochIsBetterThanNone) {
  const auto row = only_row({with_walls({8})});
  EXPECT_DOUBLE_EQ(row.seconds_per_epoch.mean, 8);
  EXPECT_FALSE(row.seconds_per_epoch.low);
  EXPECT_TRUE(std::isnan(only_row({with_walls({})}).seconds_per_epoch.mean));
}

TEST(Comparison, APartialEpochDoesNotCount) {
  RunState run = make_run(with_walls({9, 4, 6, 1}));
  run.attempts[0].epochs[3].complete = false;
  const auto row = compare({&run}).rows.at(0);
  EXPECT_DOUBLE_EQ(row.seconds_per_epoch.mean, 5);
  EXPECT_EQ(row.epochs, 3);
}

TEST(Comparison, TwoRepeatsPoolTheirEpochs) {
  const auto row = only_row({with_walls({90, 4, 5}), nth(2, with_walls({90, 6, 7, 8}))});
  EXPECT_EQ(row.repeats, 2);
  EXPECT_EQ(row.epochs, 3);
  EXPECT_DOUBLE_EQ(row.seconds_per_epoch.mean, 6);
  EXPECT_NEAR(*row.seconds_per_epoch.high - 6, 2.776 * std::sqrt(2.5 / 5), 1e-3);
}

TEST(Comparison, ThreeRepeatsCountByTheirMeans) {
  const auto row = only_row({with_walls({90, 3, 5}), nth(2, with_walls({90, 5})), nth(3, with_walls({90, 5, 6, 7}))});
  EXPECT_DOUBLE_EQ(row.seconds_per_epoch.mean, 5);  // of 4, 5 and 6
  EXPECT_NEAR(*row.seconds_per_epoch.high - 5, 4.303 / std::sqrt(3.0), 1e-3);
}

TEST(Comparison, TwoEpochsHaveNoInterval) {
  const auto row = only_row({with_walls({90, 4, 6})});
  EXPECT_FALSE(row.seconds_per_epoch.low || row.usd_per_epoch.low);
}

TEST(Comparison, AnEpochCostsItsHolding) {
  RunRecipe recipe = with_walls({9, 10, 10, 10});
  recipe.nodes = 2;
  recipe.price = RunRecipe::stated_price("1.8", Billing::kNode);
  EXPECT_DOUBLE_EQ(only_row({recipe}).usd_per_epoch.mean, 0.01);  // 20 node-seconds at half a milli-dollar
  recipe.price->billing = Billing::kSlot;
  EXPECT_DOUBLE_EQ(only_row({recipe}).usd_per_epoch.mean, 0.0025);  // one of two slots of a node
}

TEST(Comparison, TotalsSumRepeatsAndTheirParts) {
  const auto row = only_row({with_walls({7, 7.001}), nth(2, with_walls({11.37})), nth(3, with_walls({0.123}))});
  ASSERT_TRUE(row.usd_total);
  NanoUsd parts;
  for (const auto& [part, amount] : row.usd_parts) parts += amount;
  EXPECT_EQ(parts, *row.usd_total);
  // 0.045 USD an hour for the slot are 12,500 nano-dollars a second; 31.494 s were held in all.
  EXPECT_EQ(row.usd_total->nano, 393'675);
}

TEST(Comparison, WithoutAPriceThereIsNoMoney) {
  RunRecipe recipe;
  recipe.price.reset();
  const auto row = only_row({recipe});
  EXPECT_FALSE(row.usd_total || row.price);
  EXPECT_TRUE(row.usd_parts.empty());
  EXPECT_TRUE(std::isnan(row.usd_per_epoch.mean));
}

TEST(Comparison, RepricingTouchesOnePoolAndLeavesTheRuns) {
  RunRecipe cloud = named("big");
  cloud.pool = "cloud";
  const std::vector<RunRecipe> recipes{{}, cloud};
  const auto before = compare_recipes(recipes);
  const auto after = compare_recipes(recipes, {{"cloud", *parse_usd("0.9")}});
  EXPECT_EQ(after.rows[0].usd_per_epoch.mean, before.rows[0].usd_per_epoch.mean);
  EXPECT_DOUBLE_EQ(after.rows[1].usd_per_epoch.mean, 10 * before.rows[1].usd_per_epoch.mean);
  EXPECT_EQ(after.rows[1].usd_total->nano, 10 * before.rows[1].usd_total->nano);
  EXPECT_EQ(after.rows[1].price->source, "--price");
  EXPECT_EQ(after.rows[1].seconds_per_epoch.mean, before.rows[1].seconds_per_epoch.mean);
}

TEST(Comparison, RepricingGivesAPriceToARunWithoutOne) {
  RunRecipe recipe;
  recipe.price.reset();
  const auto row = only_row({recipe}, {{"here", *parse_usd("0.09")}});
  EXPECT_NEAR(row.usd_per_epoch.mean, 6 * 12'500e-9, 1e-15);
  EXPECT_TRUE(row.usd_total);
}

TEST(Comparison, TheWorstRepeatSpeaksForTheRow) {
  RunRecipe failed = nth(2, {});
  failed.status = RunStatus::kFailed;
  failed.walls = {9, 6};
  const auto row = only_row({RunRecipe{}, failed, nth(3, {})});
  EXPECT_EQ(row.status, "failed");
  EXPECT_EQ(row.reason, "rank 0 killed by signal 9");
  EXPECT_EQ(row.epochs, 2);
}

TEST(Comparison, KeepsTheOrderOfTheJobFileThroughInterleavedRepeats) {
  const auto comparison = compare_recipes({named("b"), named("a"), nth(2, named("b")), nth(2, named("a"))});
  ASSERT_EQ(comparison.rows.size(), 2U);
  EXPECT_EQ(comparison.rows[0].configuration, "b");
  EXPECT_EQ(comparison.rows[1].configuration, "a");
  EXPECT_EQ(comparison.ids.size(), 1U);
  EXPECT_EQ(comparison.job_name, "mnist-cnn");
}

TEST(Comparison, TellsEqualNamesOfTwoComparisonsApart) {
  RunRecipe later, other = named("other");
  later.comparison = "01JBBBBBBBBBBBBBBBBBBBBBBB";
  const auto comparison = compare_recipes({RunRecipe{}, later, other});
  ASSERT_EQ(comparison.rows.size(), 3U);
  EXPECT_EQ(comparison.rows[0].configuration, "one-core@01JAAAAAAA");
  EXPECT_EQ(comparison.rows[1].configuration, "one-core@01JBBBBBBB");
  EXPECT_EQ(comparison.rows[2].configuration, "other");
}

}  // namespace
}  // namespace regatta
