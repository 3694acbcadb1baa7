#include "coordinator/compared_runs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "samples.hpp"

namespace regatta {
namespace {

using test::fold;
using testing::ElementsAre;
using testing::HasSubstr;

/// Two comparisons of one run each, and a run outside of one.
Asked three_runs() {
  std::vector<Event> events = test::finished_run("01JA1", "01JA0");
  for (auto& later : test::finished_run("01JB1", "01JB0")) events.push_back(later);
  events.push_back(test::event("run", "01JC1", 0, test::run_body()));
  Asked asked{.ledger = "ledger.db", .state = fold(events)};
  asked.state.comparisons.at("01JB0").created_at += std::chrono::hours(1);
  return asked;
}

std::vector<std::string> ids_of(const Asked& asked, const std::vector<std::string>& ids) {
  std::vector<std::string> found;
  for (const auto* run : compared_runs(asked, ids)) found.push_back(run->id.value);
  return found;
}

std::string refusal(const std::function<void()>& act, ExitCode code) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), code) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

TEST(ComparedRuns, AreTheLatestComparisonsOrThoseNamed) {
  const Asked asked = three_runs();
  EXPECT_THAT(ids_of(asked, {}), ElementsAre("01JB1"));
  EXPECT_THAT(ids_of(asked, {"01ja0"}), ElementsAre("01JA1"));
  EXPECT_THAT(ids_of(asked, {"01JB0", "01JA1", "01JC1"}), ElementsAre("01JB1", "01JA1", "01JC1"));
  EXPECT_THAT(ids_of(asked, {"01JA1", "01JA0"}), ElementsAre("01JA1")) << "each once";
}

TEST(ComparedRuns, FollowTheJobFileThroughInterleavedRepeats) {
  Asked asked = three_runs();
  for (const auto& [id, order] : {std::pair{"01JB2", 1}, {"01JB3", 0}, {"01JB4", 1}}) {
    RunState run = asked.state.runs.at("01JB1");
    run.id = RunId{id};
    run.order = order;
    asked.state.runs.emplace(id, run);
    asked.state.comparisons.at("01JB0").runs.push_back(run.id);
  }
  EXPECT_THAT(ids_of(asked, {}), ElementsAre("01JB1", "01JB3", "01JB2", "01JB4"));
}

TEST(ComparedRuns, SayWhatIsMissing) {
  const Asked asked = three_runs();
  EXPECT_THAT(refusal([&] { compared_runs(asked, {"01JX"}); }, ExitCode::kFailure), HasSubstr("01JX"));
  EXPECT_THAT(refusal([&] { compared_runs(asked, {"01J"}); }, ExitCode::kFailure), HasSubstr("more letters"));
  EXPECT_THAT(refusal([] { compared_runs(Asked{.ledger = "ledger.db"}, {}); }, ExitCode::kFailure),
              HasSubstr("regatta run job.yaml"));
  Asked alone{.state = fold({test::event("run", "01JC1", 0, test::run_body())})};
  EXPECT_THAT(refusal([&] { compared_runs(alone, {}); }, ExitCode::kFailure), HasSubstr("regatta compare RUN RUN"));
}

TEST(AskedPrices, AreExact) {
  const Asked asked = three_runs();
  const auto prices = asked_prices({"here=2.100000001"}, compared_runs(asked, {}));
  ASSERT_EQ(prices.size(), 1U);
  EXPECT_EQ(prices.at("here").nano, 2'100'000'001);
  EXPECT_TRUE(asked_prices({}, compared_runs(asked, {})).empty());
}

TEST(AskedPrices, RefuseWhatMakesNoSense) {
  const Asked asked = three_runs();
  const auto runs = compared_runs(asked, {});
  const std::pair<std::vector<std::string>, const char*> table[] = {
      {{"here"}, "found \"here\""},
      {{"here="}, "found \"here=\""},
      {{"here=1e3"}, "such as here=2.10"},
      {{"here=-1"}, "found \"here=-1\""},
      {{"here=80000"}, "from 0 to 50000, found \"here=80000\""},
      {{"there=1"}, "pools of this comparison: here"},
      {{"here=1", "here=2"}, "priced twice"},
  };
  for (const auto& [texts, says] : table)
    EXPECT_THAT(refusal([&, &asked = texts] { asked_prices(asked, runs); }, ExitCode::kBadConfig), HasSubstr(says));
}

}  // namespace
}  // namespace regatta
