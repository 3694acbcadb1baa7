// Ctrl-C: the ranks end, it is recorded, the exit code says so.

#include <csignal>
#include <fstream>

#include "common/files.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr, testing::IsEmpty;

class InterruptTest : public SystemTest, public testing::WithParamInterface<int> {};

TEST_P(InterruptTest, StopsTheRanksCleanlyAndCancelsTheRest) {
  const auto job = folder_.write("job.yaml", endless_job({kTwoCores, kOneCore}));
  Process regatta_run(command({"run", job}), options_);
  const fs::path folder = wait_for_journal("first_step");
  const auto pids = pids_in_journal(folder);
  ASSERT_EQ(pids.size(), 2U);
  regatta_run.signal(GetParam());
  const auto result = regatta_run.wait(30s);
  EXPECT_EQ(result.exit_code, 130) << result.text();
  for (const pid_t pid : pids) EXPECT_FALSE(is_running(pid));
  EXPECT_THAT(ranks(), IsEmpty());

  const auto all = runs();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].status, RunStatus::kStopped);
  EXPECT_EQ(all[0].attempts[0].exit_code, 75);
  EXPECT_EQ(all[0].attempts[0].stop->reason, "signal");
  ASSERT_TRUE(all[0].bill);
  EXPECT_GT(all[0].bill->total.nano, 0);
  EXPECT_EQ(all[1].status, RunStatus::kCancelled);
  EXPECT_THAT(all[1].attempts, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Signals, InterruptTest, testing::Values(SIGINT, SIGTERM),
                         [](const auto& param) { return param.param == SIGINT ? "Int" : "Term"; });

class StubbornTest : public SystemTest {};

TEST_F(StubbornTest, CtrlCBeforeTheFirstStepEndsTheRunAtOnce) {
  const auto job = folder_.write("job.yaml", endless_job({kTwoCores}));
  Process regatta_run(command({"run", job}), options_);
  // The launch is recorded; mpirun now starts its ranks and passes no signal on.
  ASSERT_TRUE(wait_until([&] { return fs::exists(home() / "ledger.db") && !ranks().empty(); }));
  regatta_run.signal(SIGINT);
  const auto result = regatta_run.wait(12s);  // well before the 15 s that a clean stop may take
  EXPECT_EQ(result.exit_code, 130) << result.text();
  EXPECT_THAT(ranks(), IsEmpty());
  const auto all = runs();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].status, RunStatus::kStopped);
  ASSERT_TRUE(all[0].bill);
}

TEST_F(StubbornTest, AReaderThatWentAwayDoesNotEndTheRun) {
  const auto job = folder_.write("job.yaml", endless_job({kOneCore}));
  const auto script = "'" + binary("regatta").string() + "' run '" + job.string() + "' --home '" + home().string() +
                      "' 2>&1 >/dev/null | true";
  Process pipeline({"/bin/sh", "-c", script}, options_);
  const fs::path folder = wait_for_journal("heartbeat");  // seconds after `true` has closed the pipe
  std::ifstream stat("/proc/" + std::to_string(pids_in_journal(folder).at(0)) + "/stat");
  std::string pid, name, state;
  pid_t coordinator = 0;
  ASSERT_TRUE(stat >> pid >> name >> state >> coordinator);
  ASSERT_EQ(::kill(coordinator, SIGINT), 0);
  pipeline.wait(30s);
  EXPECT_EQ(runs().at(0).status, RunStatus::kStopped);
  EXPECT_EQ(runs().at(0).attempts.at(0).exit_code, 75) << "asked, not killed";
}

TEST_F(StubbornTest, WhatCannotBePrintedIsNoSuccess) {
  const auto job = folder_.write("job.yaml", tiny_job({kOneCore}, 1));
  for (const std::string& arguments : {"run '" + job.string() + "' --dry-run", std::string("--help")}) {
    const auto result =
        run({"/bin/sh", "-c", "'" + binary("regatta").string() + "' " + arguments + " > /dev/full"}, options_);
    EXPECT_EQ(result.exit_code, static_cast<int>(ExitCode::kDisk)) << arguments;
    EXPECT_THAT(result.err, HasSubstr("cannot write to standard output")) << arguments;
  }
}

TEST_F(StubbornTest, ASecondCtrlCKillsRanksThatDoNotStop) {
  const auto job = folder_.write("job.yaml", endless_job({kTwoCores}));
  Process regatta_run(command({"run", job}), options_);
  const fs::path folder = wait_for_journal("first_step");
  const auto pids = pids_in_journal(folder);
  for (const pid_t pid : pids) ::kill(pid, SIGSTOP);  // deaf to everything but SIGKILL
  regatta_run.signal(SIGINT);
  ASSERT_TRUE(wait_until([&] { return regatta_run.err().find("stopping") != std::string::npos; }));
  regatta_run.signal(SIGINT);
  const auto result = regatta_run.wait(12s);  // well before the 15 s that a clean stop may take
  EXPECT_EQ(result.exit_code, 130) << result.text();
  for (const pid_t pid : pids) EXPECT_FALSE(is_running(pid));
  EXPECT_THAT(ranks(), IsEmpty());
  const auto all = runs();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].status, RunStatus::kStopped) << "by the user, however hard";
  EXPECT_THAT(all[0].reason, HasSubstr("asked to stop twice"));
}

}  // namespace
}  // namespace regatta::test
