#include "jobs/choice.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "common/error.hpp"

namespace regatta {
namespace {

using testing::AllOf, testing::ElementsAre, testing::HasSubstr, testing::IsEmpty, testing::SizeIs;

constexpr Way kOne{1, 1, Precision::kFp32}, kTwo{2, 1, Precision::kFp32}, kOneBf16{1, 1, Precision::kBf16};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// A loss that falls from 2.3, and is `off` times as large from step 10 on.
std::vector<double> falling(std::size_t steps = 20, double off = 1) {
  std::vector<double> losses;
  for (std::size_t step = 0; step < steps; ++step)
    losses.push_back(2.3 * std::exp(-0.02 * static_cast<double>(step)) * (step < 10 ? 1 : off));
  return losses;
}

Trial trial(const Way& way, double step_s, std::vector<double> losses = falling()) {
  return {.way = way, .losses = std::move(losses), .rounds_s = {step_s}};
}

std::vector<std::string> layouts_of(const Open& open, int cores, std::int64_t batch = 64) {
  std::vector<std::string> texts;
  for (const Way& way : ways_to_try(open, cores, batch))
    texts.push_back(std::to_string(way.ranks) + "x" + std::to_string(way.threads));
  return texts;
}

TEST(WaysToTry, FillTheCoresOrLeaveSomeFewerFirst) {
  EXPECT_THAT(layouts_of({}, 1), ElementsAre("1x1"));
  EXPECT_THAT(layouts_of({}, 2), ElementsAre("1x1", "1x2", "2x1"));
  EXPECT_THAT(layouts_of({}, 6), ElementsAre("1x1", "2x1", "4x1", "1x6", "2x3", "6x1"));
  EXPECT_THAT(layouts_of({}, 128), SizeIs(8));
  for (const int cores : {1, 2, 3, 7, 16, 48, 64, 96, 192}) {
    const auto ways = ways_to_try({}, cores, 1024);
    EXPECT_LE(ways.size(), 8U);
    for (const Way& way : ways) EXPECT_LE(way.ranks * way.threads, cores);
    EXPECT_EQ(ways.back(), (Way{cores, 1, Precision::kFp32})) << "the usual one is among them";
  }
}

TEST(WaysToTry, AreNoneWithoutASlot) {
  EXPECT_THAT(ways_to_try({}, 0, 64), testing::IsEmpty());
}

TEST(WaysToTry, LeaveWhatIsWritten) {
  EXPECT_THAT(layouts_of({.threads = 2}, 8), ElementsAre("1x2", "2x2", "4x2"));
  EXPECT_THAT(layouts_of({.threads = 3}, 2), IsEmpty());
  EXPECT_THAT(layouts_of({.ranks = 4, .threads = 2}, 2), ElementsAre("4x2"));
  EXPECT_THAT(layouts_of({}, 8, 3), testing::Each(testing::AnyOf("1x1", "2x1", "1x8", "2x4"))) << "a sample a rank";
}

TEST(WaysToTry, TryWhatIsExactFirst) {
  EXPECT_THAT(ways_to_try({.precision = Precision::kAuto}, 1, 64), ElementsAre(kOne, kOneBf16));
  EXPECT_THAT(ways_to_try({.ranks = 2, .precision = Precision::kBf16}, 2, 64),
              ElementsAre(Way{2, 1, Precision::kBf16}));
}

TEST(Choose, TheFastest) {
  const Choice choice = choose({trial(kOne, 0.2), trial(kTwo, 0.11), trial(kOneBf16, 0.1)});
  EXPECT_EQ(choice.kept, kOneBf16);
  EXPECT_EQ(choice.reason, "2.00x faster than 1 rank x 1 thread, fp32; loss within 0.0 % of fp32's");
  ASSERT_THAT(choice.tried, SizeIs(3));
  EXPECT_EQ(choice.tried[0].verdict, "2.00x slower");
  EXPECT_EQ(choice.tried[2].verdict, "kept");
  EXPECT_EQ(choice.tried[2].loss_difference, 0);
}

TEST(Choose, ThePlainerOfTwoThatAreEquallyFast) {
  const Choice tie = choose({trial(kOne, 0.1), trial(kTwo, 0.1)});
  EXPECT_EQ(tie.kept, kOne);
  EXPECT_EQ(tie.reason, "as fast as 2 ranks x 1 thread, fp32");
  EXPECT_EQ(choose({trial(kOne, 0.1015), trial(kTwo, 0.1)}).kept, kOne) << "1.5 % is noise";
  EXPECT_EQ(choose({trial(kOne, 0.103), trial(kTwo, 0.1)}).kept, kTwo);
  EXPECT_EQ(choose({trial(kTwo, 0.1015), trial(kOneBf16, 0.1)}).kept, kTwo) << "fp32 before bf16";
}

TEST(Choose, ByTheBestRound) {
  Trial noisy = trial(kTwo, 0.3);
  noisy.rounds_s.push_back(0.09);  // a neighbour slept
  EXPECT_EQ(choose({trial(kOne, 0.1), noisy}).kept, kTwo);
}

TEST(Choose, RefusesBf16ThatDeparts) {
  const Choice choice = choose({trial(kOne, 0.2), trial(kOneBf16, 0.1, falling(20, 1.2))});
  EXPECT_EQ(choice.kept, kOne);
  EXPECT_FALSE(choice.tried[1].acceptable);
  EXPECT_THAT(choice.tried[1].verdict, HasSubstr("refused: its loss departs from fp32's by 16."));
  EXPECT_THAT(choice.reason, AllOf(HasSubstr("bf16 refused: its loss departs"), HasSubstr("limit 3 %")));
  EXPECT_EQ(choose({trial(kOne, 0.2), trial(kOneBf16, 0.1, falling(20, 0.8))}).kept, kOne) << "lower is elsewhere too";
  EXPECT_EQ(choose({trial(kOne, 0.2), trial(kOneBf16, 0.1, falling(20, 1.02))}).kept, kOneBf16);
}

TEST(Choose, RefusesBf16WithoutALossToTrust) {
  std::vector<double> broken = falling();
  broken[7] = kNan;
  Choice choice = choose({trial(kOne, 0.2), trial(kOneBf16, 0.1, broken)});
  EXPECT_EQ(choice.kept, kOne);
  EXPECT_EQ(choice.tried[1].verdict, "refused: its loss is not finite");
  choice = choose({trial(kOne, 0.2, falling(7)), trial(kOneBf16, 0.1)});
  EXPECT_EQ(choice.kept, kOne);
  EXPECT_THAT(choice.tried[1].verdict, HasSubstr("fewer than 8 steps"));
  Trial failed{.way = kOne, .failure = "out of memory"};
  choice = choose({failed, trial(kOneBf16, 0.1)});
  EXPECT_THAT(choice.tried[0].verdict, HasSubstr("failed: out of memory"));
  EXPECT_THAT(choice.tried[1].verdict, HasSubstr("refused: no fp32 trial"));
  EXPECT_EQ(choice.kept, kOne) << "the run itself will say what is wrong";
  EXPECT_THAT(choice.reason, HasSubstr("no trial ended well"));
}

TEST(Choose, JudgesAShortBf16TrialByALongOne) {
  const Way two_bf16{2, 1, Precision::kBf16};
  const Trial brief = trial(two_bf16, 0.05, falling(3));
  EXPECT_EQ(choose({trial(kOne, 0.2), trial(kOneBf16, 0.1), brief}).kept, two_bf16);
  EXPECT_EQ(choose({trial(kOne, 0.2), trial(kOneBf16, 0.1, falling(20, 1.2)), brief}).kept, kOne);
  EXPECT_EQ(choose({trial(kOne, 0.2), brief}).kept, kOne);
}

TEST(Choose, PassesOverWhatFailedOrWasNotTried) {
  const Trial failed{.way = kTwo, .rounds_s = {}, .failure = "killed"};
  const Trial untried{.way = kOneBf16};
  const Choice choice = choose({trial(kOne, 0.2), failed, untried});
  EXPECT_EQ(choice.kept, kOne);
  EXPECT_EQ(choice.tried[2].verdict, "not tried");
  EXPECT_EQ(choice.reason, "the only one that ran well");
}

TEST(LossDifference, IsMeasuredByTheFirstLossOrTheLargerOneOfNow) {
  std::vector<double> to_zero(20, 1e-6), nearly(20, 2e-3);
  for (std::size_t i = 0; i < 5; ++i) to_zero[i] = nearly[i] = 2;
  EXPECT_NEAR(loss_difference(nearly, to_zero).value(), 1e-3, 1e-6) << "nothing is far from zero when it began at 2";
  const std::vector<double> grown(20, 4), more(20, 5);
  EXPECT_NEAR(loss_difference(more, grown).value(), 0.25, 1e-12);
  EXPECT_EQ(loss_difference(falling(), falling()), 0);
  EXPECT_EQ(loss_difference(std::vector<double>(20, 0), std::vector<double>(20, 0)), 0);
  EXPECT_EQ(loss_difference(falling(7), falling()), std::nullopt);
}

TEST(TrialRounds, TakeTheMedianAfterWarmingUp) {
  Trial tried{.way = kOne};
  EXPECT_EQ(tried.step_s(), std::nullopt);
  tried.add_round({3, 2, 1}, {9, 8, 0.2, 0.1, 0.3, 7});
  EXPECT_THAT(tried.rounds_s, ElementsAre(0.3));
  tried.add_round({3}, {5});
  EXPECT_THAT(tried.losses, SizeIs(3)) << "the longest round's";
  EXPECT_EQ(tried.step_s(), 0.3);
  tried.add_round({}, {});
  EXPECT_THAT(tried.rounds_s, SizeIs(2));
}

TEST(ChoiceJson, Survives) {
  Choice choice = choose({trial(kOne, 0.2), trial(kOneBf16, 0.1), Trial{.way = kTwo, .failure = "killed"}});
  choice.took_s = 12.5;
  choice.measured_at = "2026-01-02T03:04:05.000000Z";
  choice.from_cache = true;
  EXPECT_EQ(choice_from_json(parse_json(to_json(choice).dump(), "test")), choice);
}

TEST(ChoiceJson, RefusesWhatIsNone) {
  const Json good = to_json(choose({trial(kOne, 0.2), trial(kOneBf16, 0.1)}));
  const auto message = [&](const char* pointer, Json value) -> std::string {
    Json json = good;
    json[Json::json_pointer(pointer)] = std::move(value);
    try {
      choice_from_json(json);
    } catch (const IoError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message("/kept/ranks", 0), HasSubstr("ranks: expected 1 to 65536, found 0"));
  EXPECT_THAT(message("/kept/threads", 5000), HasSubstr("threads: expected 1 to 4096"));
  EXPECT_THAT(message("/kept/precision", "auto"), HasSubstr("precision"));
  EXPECT_THAT(message("/kept/precision", "fp8"), HasSubstr("fp8"));
  EXPECT_THAT(message("/tried", Json::array()), HasSubstr("tried: expected a list of ways"));
  EXPECT_THAT(message("/tried/1/rounds", "two"), HasSubstr("rounds"));
  EXPECT_THAT(message("/took_s", -1), HasSubstr("took_s"));
}

}  // namespace
}  // namespace regatta
