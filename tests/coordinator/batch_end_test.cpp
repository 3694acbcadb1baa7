// A batch job's end and times from what Slurm and the journal say.
#include "coordinator/batch_end.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/attempt_times.hpp"
#include "samples.hpp"

namespace regatta::test {
namespace {

/// Queued at 10 s, held from 30 s; the ranks began at 34 s, wrote their start line at 36 s and their last line at 80 s.
AttemptState sample_attempt() {
  AttemptState attempt{.launched_at = at(9)};
  attempt.job = JobState{.name = "regatta-R-1", .id = "7", .state = "COMPLETED", .nodes = "n[1-2]"};
  attempt.job->submitted_at = at(10);
  attempt.job->held_from = at(30);
  attempt.job->held_to = at(90);
  attempt.start.emplace();
  attempt.start->startup_s = 2;
  attempt.started_at = at(36);
  attempt.last_line_at = at(80);
  attempt.stop.emplace();
  return attempt;
}

TEST(BatchTimes, QueueHoldAndStartup) {
  const AttemptTimes times = batch_times(sample_attempt());
  EXPECT_EQ(times.queue_s, 20);
  EXPECT_EQ(times.held_s, 60);
  EXPECT_EQ(times.startup_s, 2);
  EXPECT_EQ(times.hold_s, 4 + 10);
}

TEST(BatchTimes, WholeSecondsOfSlurmTakeNothingFromTheTraining) {
  AttemptState attempt = sample_attempt();
  attempt.epochs.push_back({.wall_s = 50});
  const AttemptTimes times = batch_times(attempt);
  EXPECT_EQ(times.hold_s, 60 - 2 - 50) << "held for 60 s, of which ranks took 52";
}

TEST(BatchTimes, WithoutAnEndItIsTheLastSignOfLife) {
  AttemptState attempt = sample_attempt();
  attempt.job->held_to.reset();
  EXPECT_EQ(batch_times(attempt).held_s, 50);
  attempt.job->held_from
      .reset();  // its coordinator died in the queue, and Slurm forgot it: the ranks' own start counts
  EXPECT_EQ(batch_times(attempt).held_s, 46);
  EXPECT_EQ(batch_times(attempt).hold_s, 0);
  EXPECT_FALSE(batch_times(attempt).queue_s);
}

TEST(BatchTimes, RanksThatNeverBeganHoldAllTheSame) {
  AttemptState attempt = sample_attempt();
  attempt.start.reset();
  attempt.started_at.reset();
  attempt.last_line_at.reset();
  attempt.stop.reset();
  EXPECT_EQ(batch_times(attempt).held_s, 60);
  EXPECT_FALSE(batch_times(attempt).startup_s);
  attempt.job->held_from = attempt.job->held_to = {};
  EXPECT_EQ(batch_times(attempt).held_s, 0) << "cancelled in the queue";
}

TEST(BatchTimes, ClocksThatDisagreeTakeNothingBack) {
  AttemptState attempt = sample_attempt();
  attempt.job->held_from = at(35);  // Slurm's clock is late
  attempt.job->held_to = at(79);
  const AttemptTimes times = batch_times(attempt);
  EXPECT_EQ(times.held_s, 44);
  EXPECT_EQ(times.hold_s, 0);
}

TEST(BatchEnd, RankZeroSaysWhichCodeWasMeant) {
  const RunState run{.id = RunId{"R"}, .run_dir = "/nowhere"};
  AttemptState attempt = sample_attempt();
  attempt.stop->exit_code = 75;
  Event event = batch_end_event(run, attempt, {.code = 143, .why = "Slurm: the time limit"}, "", false, at(100));
  EXPECT_EQ(event.kind, "exit");
  EXPECT_EQ(event.body["code"], 75);
  EXPECT_EQ(event.body["reason"], "Slurm: the time limit");
  EXPECT_EQ(event.body["queue_s"], 20);
  event = batch_end_event(run, attempt, {.code = 141, .why = ""}, "killed: no sign of life", false, at(100));
  EXPECT_EQ(event.body["reason"], "killed: no sign of life");
  attempt.stop.reset();
  event = batch_end_event(run, attempt, {.code = 137}, "", true, at(100));
  EXPECT_EQ(event.body["code"], 137);
  EXPECT_EQ(event.body["asked_to_stop"], true);
}

TEST(BatchEnd, WhatNobodyKnowsIsLost) {
  const RunState run{.id = RunId{"R"}, .run_dir = "/nowhere"};
  const ExitStatus forgotten{.code = 1, .lost = "Slurm no longer knows job 7", .forgotten = true};
  const Event event = batch_end_event(run, sample_attempt(), forgotten, "", false, at(100));
  EXPECT_EQ(event.kind, "lost") << "there is no result.json";
  EXPECT_EQ(event.body["message"], "Slurm no longer knows job 7");
  EXPECT_EQ(event.body["last_sign"], to_text(at(80)));
  EXPECT_EQ(event.body["held_s"], 60);
}

TEST(BatchEnd, AJobStandsInTheLedgerAsItWasSeen) {
  const Allocation seen{.job = "7", .state = "RUNNING", .nodes = "n1", .submitted = at(10), .held_from = at(30)};
  State state;
  state.runs.emplace("R", RunState{.id = RunId{"R"}});
  apply(state, {.run_id = "R",
                .attempt = 1,
                .kind = "launch",
                .body = {{"argv", {"sbatch"}}, {"at", to_text(at(9))}, {"job_name", "regatta-R-1"}}});
  apply(state, job_event(RunId{"R"}, 1, seen, at(31)));
  const auto& job = state.runs.at("R").attempts.at(0).job;
  ASSERT_TRUE(job);
  EXPECT_EQ(job->name, "regatta-R-1");
  EXPECT_EQ(known_allocation(*job), seen);
}

}  // namespace
}  // namespace regatta::test
