#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comparison_runs.hpp"

namespace regatta {
namespace {

using test::compare_recipes;
using test::named;
using test::RunRecipe;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

/// Three counted epochs around `wall_s`, a percent apart.
std::vector<double> around(double wall_s) {
  return {2 * wall_s, 0.99 * wall_s, wall_s, 1.01 * wall_s};
}

RunRecipe taking(const std::string& name, double wall_s, const std::string& pool = "here",
                 const std::string& usd = "0.09") {
  RunRecipe recipe = named(name);
  recipe.pool = pool;
  recipe.walls = around(wall_s);
  recipe.price = RunRecipe::stated_price(usd);
  return recipe;
}

RunRecipe on_two_ranks(RunRecipe recipe) {
  recipe.ranks = 2;
  return recipe;
}

std::vector<RunRecipe> three_times(const std::vector<RunRecipe>& recipes) {
  std::vector<RunRecipe> all;
  for (int repeat = 1; repeat <= 3; ++repeat)
    for (RunRecipe recipe : recipes) {
      recipe.repeat = repeat;
      for (double& wall : recipe.walls) wall *= 1 + 0.01 * repeat;
      all.push_back(recipe);
    }
  return all;
}

TEST(Verdict, NamesFastestAndCheapest) {
  // Two ranks take both slots: twice the price, 1.84 times the speed.
  const auto verdict = compare_recipes({taking("one-core", 5.7), on_two_ranks(taking("two-ranks", 3.1))}).verdict;
  EXPECT_EQ(verdict.fastest, "two-ranks");
  EXPECT_EQ(verdict.cheapest, "one-core");
  EXPECT_THAT(verdict.sentence, AllOf(HasSubstr("two-ranks is fastest (3.10 s an epoch, 1.84x as fast as one-core)"),
                                      HasSubstr("one-core is cheapest ($0.0000713 an epoch; two-ranks costs 1.09x")));
  EXPECT_FALSE(verdict.break_even) << "one pool: a price that both pay changes nothing";
  EXPECT_EQ(verdict.agreement.result, AgreementResult::kAgree);
}

TEST(Verdict, ComparesWithTheNextAndTheFirst) {
  const auto verdict = compare_recipes({taking("base", 10), taking("mid", 4), taking("best", 2)}).verdict;
  EXPECT_THAT(verdict.sentence, HasSubstr("2.00x as fast as mid, 5.00x as fast as base"));
  EXPECT_THAT(verdict.sentence, HasSubstr("it is also cheapest"));
}

struct Case {
  const char* what;
  std::vector<RunRecipe> recipes;
  const char* fastest;
  const char* cheapest;
  const char* confidence;
  const char* says;
};

RunRecipe changed(RunRecipe recipe, const std::function<void(RunRecipe&)>& change) {
  change(recipe);
  return recipe;
}

TEST(Verdict, Table) {
  const RunRecipe slow = taking("slow", 10), fast = taking("fast", 5), near = taking("near", 5.05);
  const auto contended = changed(taking("crowd", 1), [](RunRecipe& r) { r.contended = true; });
  const auto failed = changed(taking("broken", 1), [](RunRecipe& r) { r.status = RunStatus::kFailed; });
  const auto stopped = changed(taking("halted", 1), [](RunRecipe& r) { r.status = RunStatus::kStopped; });
  const auto running = changed(taking("young", 1), [](RunRecipe& r) { r.status = RunStatus::kRunning; });
  const auto empty = changed(taking("empty", 1), [](RunRecipe& r) { r.walls.clear(); });
  const auto unpriced = changed(taking("unpriced", 1), [](RunRecipe& r) { r.price.reset(); });
  const auto assumed = changed(fast, [](RunRecipe& r) { r.price->kind = FigureKind::kAssumed; });
  const auto brief = changed(taking("brief", 5), [](RunRecipe& r) { r.walls.pop_back(); });
  const auto other_batch = changed(fast, [](RunRecipe& r) { r.training.train.batch = 1; });
  const auto wrong = changed(fast, [](RunRecipe& r) { r.early[0] = 9; });
  const auto costly = taking("costly", 5, "gpu", "0.18");
  const Case table[] = {
      {"one repeat", {slow, fast}, "fast", "fast", "medium", "fast is fastest"},
      {"three repeats", three_times({slow, fast}), "fast", "fast", "high", "fast is fastest"},
      {"a tie", {slow, fast, near}, "", "", "none", "no clear winner"},
      {"equal times, other prices", {fast, costly}, "", "fast", "low", "no clear winner on speed"},
      {"equal prices, near times", {fast, near}, "", "", "none", "overlap"},
      {"contended never wins", {slow, fast, contended}, "fast", "fast", "medium", "crowd (contended) cannot win"},
      {"failed never wins", {slow, fast, failed}, "fast", "fast", "medium", "broken (failed) cannot win"},
      {"stopped never wins", {slow, fast, stopped}, "fast", "fast", "medium", "halted (stopped) cannot win"},
      {"running never wins", {slow, fast, running}, "fast", "fast", "medium", "young (running) cannot win"},
      {"no epoch, no win", {slow, fast, empty}, "fast", "fast", "medium", "empty (no epoch) cannot win"},
      {"alone", {fast}, "", "", "none", "there is only one configuration"},
      {"alone beside a failure", {fast, failed}, "", "", "none", "only one configuration finished"},
      {"nobody finished", {failed, stopped}, "", "", "none", "no configuration finished"},
      {"all contended",
       {contended, changed(slow, [](RunRecipe& r) { r.contended = true; })},
       "",
       "",
       "none",
       "no clear winner: no configuration can win"},
      {"one not contended", {fast, contended}, "", "", "none", "only one configuration can win"},
      {"a price is missing", {slow, unpriced}, "unpriced", "", "low", "not every pool has a price"},
      {"too few epochs", {slow, brief}, "", "", "none", "brief has fewer than three"},
      {"assumed price", three_times({slow, assumed}), "fast", "fast", "medium", "the price of pool here is assumed"},
      {"not comparable", three_times({slow, other_batch}), "fast", "fast", "medium", "fast is fastest"},
      {"differ", three_times({slow, wrong}), "fast", "fast", "low", "the trainings differ"},
  };
  for (const auto& [what, recipes, fastest, cheapest, confidence, says] : table) {
    const auto verdict = compare_recipes(recipes).verdict;
    EXPECT_EQ(verdict.fastest, fastest) << what << ": " << verdict.sentence;
    EXPECT_EQ(verdict.cheapest, cheapest) << what << ": " << verdict.sentence;
    EXPECT_EQ(verdict.confidence, confidence) << what << ": " << verdict.sentence;
    EXPECT_THAT(verdict.sentence, HasSubstr(says)) << what;
  }
}

TEST(Verdict, OfOneConfigurationDoubtsNothingElse) {
  const auto verdict = compare_recipes({taking("alone", 5)}).verdict;
  EXPECT_THAT(verdict.doubts, testing::ElementsAre("there is only one configuration"));
}

TEST(Verdict, AnAssumedPriceNeverGivesHighConfidence) {
  auto recipes = three_times({taking("slow", 10), taking("fast", 5)});
  ASSERT_EQ(compare_recipes(recipes).verdict.confidence, "high");
  recipes[0].price->kind = FigureKind::kAssumed;  // of the one that does not win
  const auto verdict = compare_recipes(recipes).verdict;
  EXPECT_EQ(verdict.confidence, "medium");
  EXPECT_THAT(verdict.doubts, Contains("a price is assumed"));
}

/// What the row of `configuration` costs an epoch when `pool` costs `nano`.
double cost_at(const std::vector<RunRecipe>& recipes, const std::string& pool, std::int64_t nano,
               const std::string& configuration) {
  for (const auto& row : compare_recipes(recipes, {{pool, NanoUsd{nano}}}).rows)
    if (row.configuration == configuration) return row.usd_per_epoch.mean;
  throw std::logic_error("no row " + configuration);
}

TEST(BreakEven, IsThePriceAtWhichTheFiguresChangePlaces) {
  // An hour of `gpu` costs 40 times as much, an epoch on it 2.4 times.
  const std::vector<RunRecipe> recipes{taking("cpu", 60), on_two_ranks(taking("cpu-2", 33)),
                                       taking("gpu", 3.6, "cloud", "3.6"), taking("big", 30, "cloud", "3.6")};
  const auto verdict = compare_recipes(recipes).verdict;
  ASSERT_EQ(verdict.cheapest, "cpu");
  ASSERT_TRUE(verdict.break_even);
  EXPECT_EQ(verdict.break_even->pool, "cloud");
  const std::int64_t nano = verdict.break_even->usd_per_node_hour.nano;
  EXPECT_NEAR(static_cast<double>(nano) * 1e-9, 0.09 * 60 / 3.6, 1e-5);  // the same costs per epoch, by hand
  EXPECT_THAT(verdict.sentence, HasSubstr("cpu stays cheapest until pool cloud costs less than $1.50 per node-hour"));

  EXPECT_LE(cost_at(recipes, "cloud", nano, "cpu"), cost_at(recipes, "cloud", nano, "gpu"));
  EXPECT_GT(cost_at(recipes, "cloud", nano - 1, "cpu"), cost_at(recipes, "cloud", nano - 1, "gpu"));
  EXPECT_LE(cost_at(recipes, "cloud", nano + 1, "cpu"), cost_at(recipes, "cloud", nano + 1, "gpu"));
  // Well below it the verdict itself changes.
  EXPECT_EQ(compare_recipes(recipes, {{"cloud", NanoUsd{nano * 9 / 10}}}).verdict.cheapest, "gpu");
}

TEST(BreakEven, LooksAtThePoolThatIsNearest) {
  const auto verdict =
      compare_recipes({taking("a", 10), taking("b", 10, "far", "9"), taking("c", 10, "near", "0.18")}).verdict;
  ASSERT_EQ(verdict.cheapest, "a");
  EXPECT_EQ(verdict.break_even->pool, "near");
}

TEST(BreakEven, IsNothingWithoutACheapest) {
  EXPECT_FALSE(compare_recipes({taking("a", 10), taking("b", 10, "cloud", "0.09")}).verdict.break_even);
}

TEST(BreakEven, IsNothingForWhatIsFree) {
  const auto verdict = compare_recipes({taking("a", 10, "owned", "0"), taking("b", 5, "cloud", "0.09")}).verdict;
  EXPECT_EQ(verdict.cheapest, "a");
  EXPECT_FALSE(verdict.break_even);
  EXPECT_THAT(verdict.sentence, AllOf(HasSubstr("a is cheapest ($0.00 an epoch"), Not(HasSubstr("inf"))));
}

}  // namespace
}  // namespace regatta
