// The files of a run's ranks: taken when they are the run's own, refused with a reason when they are not there.

#include "coordinator/step_files.hpp"

#include <gmock/gmock.h>

#include "common/error.hpp"
#include "common/features.hpp"
#include "common/files.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::HasSubstr;

class StepFiles : public testing::Test {
 protected:
  StepFiles() {
    run_.id = {"01JZ0000000000000000000000"};
    run_.run_dir = folder_.path();
    run_.ranks = 2;
    run_.status = RunStatus::kDone;
    run_.attempts = {{.attempt = 1}, {.attempt = 2}};
  }
  void write(const RankSteps& steps) const { write(steps.rank, to_text(steps)); }
  void write(int rank, const std::string& text) const { folder_.write("attempt-2/" + steps_file_name(rank), text); }
  RankSteps steps(int rank) const {
    return {.run = run_.id,
            .attempt = 2,
            .rank = rank,
            .ranks = 2,
            .host = "n" + std::to_string(rank),
            .exchanger = "node",
            .bucket_bytes = {64},
            .last_step = 1,
            .steps = {{.step = 1, .begin = Duration(1), .laps = {{Activity::kForward, -1, Duration(5)}}}}};
  }
  std::string refusal(ExitCode code = ExitCode::kDisk) const {
    try {
      read_steps(run_);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), code) << error.what();
      return error.what();
    }
    return "accepted";
  }

  TemporaryFolder folder_;
  RunState run_;
};

TEST_F(StepFiles, AreThoseOfTheLastAttempt) {
  write(steps(0));
  write(steps(1));
  EXPECT_THAT(read_steps(run_), testing::ElementsAre(steps(0), steps(1)));
}

TEST_F(StepFiles, ThatAreNotThereHaveAReason) {
  EXPECT_THAT(refusal(ExitCode::kFailure), AllOf(HasSubstr("attempt-2: no steps there"), HasSubstr("train again")));
  run_.status = RunStatus::kRunning;
  EXPECT_THAT(refusal(ExitCode::kFailure), HasSubstr("the run is running; ask again when it has ended"));
  run_.status = RunStatus::kLost;
  EXPECT_THAT(refusal(ExitCode::kFailure), HasSubstr("the run ended before its training did (lost)"));
  run_.status = RunStatus::kStopped;
  run_.attempts[1].start.emplace().warnings = parse_features("step_trace").warnings();
  EXPECT_THAT(refusal(ExitCode::kFailure), HasSubstr("the run had REGATTA_WITHOUT=step_trace"));
  write(steps(0));
  EXPECT_THAT(refusal(ExitCode::kFailure), AllOf(HasSubstr("steps-1.jsonl: not there, though rank 0 has one"),
                                                 HasSubstr("regatta logs 01JZ0000000000000000000000 --rank 1")));
}

TEST_F(StepFiles, OfOthersAreRefused) {
  write(steps(0));
  const auto refused = [&](const auto& change, const std::string& says) {
    RankSteps other = steps(1);
    change(other);
    write(1, to_text(other));
    EXPECT_THAT(refusal(), HasSubstr("attempt-2/steps-1.jsonl: " + says));
  };
  refused([](RankSteps& other) { other.run.value[25] = '1'; }, "run_id: expected 01JZ0000000000000000000000");
  refused([](RankSteps& other) { other.attempt = 1; }, "attempt: expected 2, found 1");
  refused([](RankSteps& other) { other.rank = 0; }, "rank: expected 1, found 0");
  refused([](RankSteps& other) { other.ranks = 3; }, "ranks: expected 2, found 3");
  refused([](RankSteps& other) { other.bucket_bytes = {32, 32}; }, "other buckets or another exchanger");
  refused([](RankSteps& other) { other.exchanger = "mpi"; }, "other buckets or another exchanger");
  write(1, "");
  EXPECT_THAT(refusal(), HasSubstr("attempt-2/steps-1.jsonl: line 1: cut"));
}

}  // namespace
}  // namespace regatta::test
