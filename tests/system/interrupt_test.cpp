// Ctrl-C: the ranks end, it is recorded, the exit code says so.

#include <csignal>

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
  EXPECT_EQ(all[0].status, RunStatus::kFailed);
  EXPECT_THAT(all[0].reason, HasSubstr("asked to stop twice"));
}

}  // namespace
}  // namespace regatta::test
