#include "common/step_laps.hpp"

#include <gmock/gmock.h>

#include "common/error.hpp"
#include "common/json.hpp"

namespace regatta {
namespace {

using testing::AllOf, testing::HasSubstr, testing::StartsWith;

RankSteps sample() {
  return {.run = {"01JZ0000000000000000000000"},
          .attempt = 1,
          .rank = 1,
          .ranks = 2,
          .host = "n1",
          .exchanger = "node",
          .bucket_bytes = {4096, 128},
          .wall_minus_steady = Duration(1'750'000'000'000'000'000),
          .last_step = 30,
          .steps = {{.step = 11,
                     .begin = Duration(5'000),
                     .laps = {{Activity::kData, -1, Duration(10)},
                              {Activity::kForward, -1, Duration(200)},
                              {Activity::kBackward, -1, Duration(300)},
                              {Activity::kPublish, 0, Duration(40)}},
                     .after = {{Activity::kEvaluate, -1, Duration(9'000)}}},
                    {.step = 12, .begin = Duration(14'550), .laps = {{Activity::kApply, 1, Duration(7)}}}}};
}

/// What refuses a file in which `from` is `to`.
std::string refusal(const std::string& from, const std::string& to) {
  std::string text = to_text(sample());
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << text;
  text.replace(at, from.size(), to);
  try {
    rank_steps_from_text(text);
    return "accepted " + text;
  } catch (const IoError& error) {
    return error.what();
  }
}

TEST(StepLaps, ComeBackAsTheyWere) {
  EXPECT_EQ(rank_steps_from_text(to_text(sample())), sample());
  EXPECT_EQ(sample().steps[0].wall(), Duration(550));
  EXPECT_EQ(sample().steps[0].end(), Duration(14'550));
  for (std::size_t i = 0; i < kActivities; ++i) {
    RankSteps steps = sample();
    steps.steps[0].laps[0].activity = static_cast<Activity>(i);
    EXPECT_EQ(rank_steps_from_text(to_text(steps)), steps);
  }
}

TEST(StepLaps, AreRefusedWhenCutAnywhere) {
  const std::string whole = to_text(sample());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_THROW(rank_steps_from_text(std::string_view(whole).substr(0, bytes)), IoError) << bytes << " bytes";
}

TEST(StepLaps, AreRefusedWhenTheyCannotBe) {
  const std::tuple<const char*, const char*, const char*> table[] = {
      {"\"kind\":\"steps\"", "\"kind\":\"start\"", "line 1: no steps file"},
      {"\"schema\":1", "\"schema\":2", "line 1: schema: expected 1, found 2"},
      {"\"rank\":1", "\"rank\":2", "line 1: rank: expected a number from 0 to 1"},
      {"\"ranks\":2", "\"ranks\":2e9", "line 1: ranks"},
      {"4096", "-1", "line 1: bucket_bytes"},
      {"1750000000000000000", "9000000000000000000", "line 1: wall_minus_steady_ns"},
      {"\"last_step\":30", "\"last_step\":11", "line 3: step"},
      {"\"steps\":2", "\"steps\":3", "expected 3 steps as its head says, found 2"},
      {"\"step\":12", "\"step\":11", "line 3: step: expected a step after 11"},
      {"14550", "14549", "line 3: begin_ns: expected no time before the end of step 11"},
      {"14550", "1e300", "line 3: begin_ns"},
      {"forward", "sideways", "line 2: laps: expected one of data, forward, backward"},
      {"[\"publish\",0,40]", "[\"publish\",2,40]", "line 2: laps: expected a bucket from -1 to 1"},
      {"[\"publish\",0,40]", "[\"publish\",0,-1]", "line 2: laps: expected nanoseconds"},
      {"[\"publish\",0,40]", "[\"publish\",0,946728000000000001]", "line 2: laps: expected nanoseconds"},
      {"[\"publish\",0,40]", "[\"publish\",0,946728000000000000]", "line 2: laps: expected nanoseconds"},
      {"[\"publish\",0,40]", "[\"publish\",40]", "line 2: laps: expected [activity, bucket, ns]"},
      {"[[\"evaluate\",-1,9000]]", "{}", "line 2: after: expected a list of laps"},
  };
  for (const auto& [from, to, says] : table) EXPECT_THAT(refusal(from, to), StartsWith(says)) << from << " -> " << to;
}

}  // namespace
}  // namespace regatta
