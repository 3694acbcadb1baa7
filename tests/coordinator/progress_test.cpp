// What a person sees while ranks train, as text.

#include "coordinator/progress.hpp"

#include <gmock/gmock.h>

namespace regatta {
namespace {

using namespace std::chrono_literals;
using testing::AllOf, testing::EndsWith, testing::HasSubstr, testing::Not, testing::StartsWith;

ProgressView some_view() {
  return {.name = "two-cores",
          .epoch = 2,
          .epochs = 4,
          .fraction = 0.25,
          .loss = 0.08125,
          .samples_per_s = 12345.6,
          .test_accuracy = 0.9812,
          .cost = NanoUsd{213'456},
          .left = 75s,
          .phase = "train"};
}

TEST(ProgressLine, TellsEverythingWhenThereIsRoom) {
  EXPECT_EQ(progress_line(some_view(), 120),
            "two-cores  [#####...............]  epoch 2/4  loss 0.0813  12346 samples/s  $0.000213  1:15 left");
}

TEST(ProgressLine, NeverExceedsItsWidthAndKeepsTheNameLongest) {
  auto view = some_view();
  view.phase = "evaluate";
  for (int width = 0; width <= 140; ++width) {
    const std::string line = progress_line(view, width);
    ASSERT_LE(static_cast<int>(line.size()), width);
    ASSERT_TRUE(line.starts_with("two-cores") || width < 9) << line;
  }
  EXPECT_EQ(progress_line(view, 40), "two-cores  epoch 2/4  $0.000213");
}

TEST(ProgressLine, SaysWhatIsKnownWhileStarting) {
  EXPECT_EQ(progress_line({.name = "a"}, 80), "a  [....................]  starting");
}

TEST(EpochLine, IsOnePlainSentence) {
  EXPECT_EQ(epoch_line(some_view()),
            "two-cores: epoch 2/4, loss 0.0813, accuracy 98.12 %, 12346 samples/s, $0.000213, 1:15 left");
}

TEST(IndexingLine, SaysHowLongItStillTakes) {
  EXPECT_EQ(indexing_line(0, 60'000, std::chrono::seconds(0)), "indexing: 0 of 60000 files");
  EXPECT_EQ(indexing_line(15'000, 60'000, std::chrono::seconds(2)), "indexing: 15000 of 60000 files, 0:06 left");
}

TEST(ClockText, CountsMinutesThenHours) {
  EXPECT_EQ(clock_text(7s), "0:07");
  EXPECT_EQ(clock_text(12min + 30s), "12:30");
  EXPECT_EQ(clock_text(2h + 5min), "2:05:00");
}

TEST(FractionDone, FollowsEpochsOrTimeWhicheverIsNearer) {
  EXPECT_DOUBLE_EQ(fraction_done(1, 0, 100, 4, 0s, {}), 0);
  EXPECT_DOUBLE_EQ(fraction_done(2, 50, 100, 4, 0s, {}), 0.375);
  EXPECT_DOUBLE_EQ(fraction_done(4, 100, 100, 4, 0s, {}), 1);
  EXPECT_DOUBLE_EQ(fraction_done(2, 50, 100, {}, 30s, 60.0), 0.5);
  EXPECT_DOUBLE_EQ(fraction_done(1, 0, 100, 4, 30s, 60.0), 0.5);
  EXPECT_DOUBLE_EQ(fraction_done(0, 0, 100, 4, 0s, {}), 0);
  EXPECT_DOUBLE_EQ(fraction_done(2, 0, 100, {}, 90s, 60.0), 1);
}

TEST(TimeLeft, ExtendsThePace) {
  EXPECT_EQ(time_left(0.25, 10s), Duration(30s));
  EXPECT_EQ(time_left(1, 10s), Duration(0));
  EXPECT_EQ(time_left(0.001, 10s), std::nullopt);
  EXPECT_EQ(time_left(0.5, 0s), std::nullopt);
}

std::string written(ProgressDisplay::Style style) {
  std::FILE* stream = std::tmpfile();
  ProgressDisplay display(stream, style);
  display.update(some_view());
  display.epoch_done(some_view());
  display.note("a note");
  display.say("a word");
  std::string text(4096, '\0');
  std::rewind(stream);
  text.resize(std::fread(text.data(), 1, text.size(), stream));
  std::fclose(stream);
  return text;
}

TEST(ProgressDisplay, RedrawsOnATerminalAndWritesLinesElsewhere) {
  EXPECT_THAT(written(ProgressDisplay::Style::kTerminal),
              AllOf(StartsWith("\r\x1b[Ktwo-cores"), EndsWith("a note\na word\n")));
  EXPECT_EQ(written(ProgressDisplay::Style::kLines), epoch_line(some_view()) + "\na note\na word\n");
  EXPECT_EQ(written(ProgressDisplay::Style::kQuiet), "a word\n");
}

}  // namespace
}  // namespace regatta
