// Launches with real processes and the real mpirun: how they end, and that nobody outlives them. The ranks are shell
// scripts that write their process id to pid-<rank>.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/launcher.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;
using test::wait_until;
using testing::HasSubstr;

constexpr auto kDeadline = 30s;  // generous: the machine may be busy

const std::string kWritePid =
    "echo $$ > $0/tmp-$OMPI_COMM_WORLD_RANK; mv $0/tmp-$OMPI_COMM_WORLD_RANK $0/pid-$OMPI_COMM_WORLD_RANK; ";
const std::string kForever = "while :; do sleep 0.05; done";

/// As a worker does: until the launcher that started it is gone.
const std::string kWhileLaunched =
    "while read -r pid name state parent rest < /proc/$$/stat && [ $parent = $PPID ]; do sleep 0.05; done";

std::vector<std::string> shell(const std::string& script) {
  return {"/bin/sh", "-c", script};
}

std::vector<std::string> two_ranks(const fs::path& folder, const std::string& script) {
  return {"mpirun",          "-np",     "2",  "--bind-to",        "none",
          "--oversubscribe", "/bin/sh", "-c", kWritePid + script, folder.string()};
}

ExitStatus ended(LocalProcess& process) {
  std::optional<ExitStatus> status;
  EXPECT_TRUE(wait_until([&] { return (status = process.poll()).has_value(); }, kDeadline)) << "still running";
  return status.value_or(ExitStatus{.code = -1});
}

bool any_runs(const std::vector<pid_t>& pids) {
  return std::any_of(pids.begin(), pids.end(), [](pid_t pid) { return test::is_running(pid); });
}

class LocalProcessTest : public testing::Test {
 protected:
  const fs::path& folder() const { return folder_.path(); }
  fs::path log() const { return folder() / "launcher.log"; }

  /// The process id in a file, once it is there.
  pid_t pid_in(const std::string& name) {
    EXPECT_TRUE(wait_until([&] { return fs::exists(folder() / name); }, kDeadline)) << name;
    pid_t pid = 0;
    std::ifstream(folder() / name) >> pid;
    EXPECT_GT(pid, 0);
    started_.push_back(pid);
    return pid;
  }
  /// Both ranks, once both run.
  std::vector<pid_t> ranks() { return {pid_in("pid-0"), pid_in("pid-1")}; }

  /// A failed test leaves no strays either.
  void TearDown() override {
    for (const pid_t pid : started_)
      if (pid > 0 && test::is_running(pid)) ::kill(pid, SIGKILL);
  }

 private:
  test::TemporaryFolder folder_;
  std::vector<pid_t> started_;
};

TEST_F(LocalProcessTest, TellsExitCodesAndSignals) {
  const std::vector<std::pair<std::string, ExitStatus>> cases = {
      {"exit 0", {.code = 0}},
      {"exit 75", {.code = 75}},
      {"kill -KILL $$", {.code = 137, .signal = SIGKILL}},
      {"kill -SEGV $$", {.code = 139, .signal = SIGSEGV}},
  };
  for (const auto& [script, expected] : cases) {
    LocalProcess process(shell(script), log());
    const ExitStatus status = ended(process);
    EXPECT_EQ(status.code, expected.code) << script;
    EXPECT_EQ(status.signal, expected.signal) << script;
  }
}

TEST_F(LocalProcessTest, MpirunPassesItsRanksEndOn) {
  const std::vector<std::pair<std::string, int>> cases = {{"exit 0", 0}, {"exit 14", 14}, {"kill -KILL $$", 137}};
  for (const auto& [script, code] : cases) {
    LocalProcess process(two_ranks(folder(), script), log());
    EXPECT_EQ(ended(process).code, code) << script;
  }
  LocalProcess missing({"mpirun", "-np", "2", "--oversubscribe", "/nonexistent/worker"}, log());
  EXPECT_THAT(describe_exit(ended(missing)), HasSubstr("could not start the program"));
}

TEST_F(LocalProcessTest, AMissingProgramIsNamedAndLeavesNoChild) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/nonexistent/regatta-worker",
       "cannot start /nonexistent/regatta-worker: No such file or directory; is it built?"},
      {"no-such-program", "cannot start no-such-program: No such file or directory; is it in PATH?"},
      {folder().string(), "cannot start " + folder().string() + ": Permission denied"},
  };
  for (const auto& [program, message] : cases) {
    try {
      const LocalProcess process({program}, log());
      ADD_FAILURE() << program << " was started";
    } catch (const LaunchError& error) {
      EXPECT_EQ(error.what(), message);
    }
  }
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(LocalProcessTest, AnUnwritableLogIsNamed) {
  try {
    const LocalProcess process({"/bin/true"}, folder() / "no" / "log");
    ADD_FAILURE() << "started";
  } catch (const LaunchError& error) {
    EXPECT_THAT(error.what(), HasSubstr((folder() / "no" / "log").string()));
  }
}

TEST_F(LocalProcessTest, InheritsNothingByAccident) {
  const int leaked = ::open("/dev/null", O_RDONLY);  // without close-on-exec, as a library might
  ASSERT_GE(leaked, 3);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(::sigprocmask(SIG_BLOCK, &blocked, &before), 0);
  auto* const handler = ::signal(SIGTERM, SIG_IGN);
  const std::string number = std::to_string(leaked);
  // cat ends at once on an empty stdin; SIGTERM must end the shell although it is ignored and blocked here.
  LocalProcess process(
      shell("cat; echo out; echo err >&2; test ! -e /proc/$$/fd/" + number + " || exit 3; kill -TERM $$"), log());
  const ExitStatus status = ended(process);
  ::signal(SIGTERM, handler);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::close(leaked);
  EXPECT_EQ(status.signal, SIGTERM) << status.code;
  EXPECT_EQ(read_file(log()), "out\nerr\n");
}

TEST_F(LocalProcessTest, LeadsItsOwnSessionAndGroup) {
  LocalProcess process(shell(kForever), log());
  EXPECT_EQ(::getsid(process.pid()), process.pid());
  EXPECT_EQ(::getpgid(process.pid()), process.pid());
}

// As workers do it: nobody leaves before all have been asked, because mpirun kills the rest at the first non-zero exit.
TEST_F(LocalProcessTest, AStopRequestReachesEveryRank) {
  const std::string stop =
      "trap 'touch $0/got-$OMPI_COMM_WORLD_RANK; until [ -e $0/got-0 ] && [ -e $0/got-1 ]; do sleep 0.01; "
      "done; exit 75' USR1; touch $0/ready-$OMPI_COMM_WORLD_RANK; ";
  LocalProcess process(two_ranks(folder(), stop + kForever), log());
  for (const char* name : {"ready-0", "ready-1"})
    ASSERT_TRUE(wait_until([&] { return fs::exists(folder() / name); }, kDeadline)) << read_file(log());
  process.request_stop();
  EXPECT_EQ(ended(process).code, 75) << read_file(log());
  EXPECT_TRUE(fs::exists(folder() / "got-0"));
  EXPECT_TRUE(fs::exists(folder() / "got-1"));
}

TEST_F(LocalProcessTest, KillEndsRanksThatIgnoreSigterm) {
  LocalProcess process(two_ranks(folder(), "trap '' TERM; " + kForever), log());
  const auto pids = ranks();
  process.kill();
  EXPECT_FALSE(any_runs(pids));
  EXPECT_TRUE(process.poll().has_value());
}

// A frozen mpirun cannot end its ranks, and its death would leave them orphans in process groups of their own.
TEST_F(LocalProcessTest, KillEndsTheRanksOfAFrozenLauncher) {
  LocalProcess process(two_ranks(folder(), kForever), log());
  const auto pids = ranks();
  ASSERT_EQ(::kill(process.pid(), SIGSTOP), 0);
  process.kill();
  EXPECT_FALSE(any_runs(pids));
  EXPECT_EQ(process.poll().value_or(ExitStatus{}).signal, SIGKILL);
}

TEST_F(LocalProcessTest, RanksDoNotOutliveAKilledLauncher) {
  LocalProcess process(two_ranks(folder(), kForever), log());
  const auto pids = ranks();
  ASSERT_EQ(::kill(process.pid(), SIGKILL), 0);
  EXPECT_EQ(ended(process).signal, SIGKILL);
  EXPECT_FALSE(any_runs(pids));
}

TEST_F(LocalProcessTest, DestructionEndsEverybody) {
  std::vector<pid_t> pids;
  {
    const LocalProcess process(two_ranks(folder(), kForever), log());
    pids = ranks();
    pids.push_back(process.pid());
    EXPECT_TRUE(any_runs(pids));
  }
  EXPECT_FALSE(any_runs(pids));
}

/// A coordinator in miniature: launches, then waits to be killed.
pid_t launch_in_child(const std::vector<std::string>& argv, const fs::path& log) {
  const pid_t parent = ::fork();
  if (parent != 0) return parent;
  try {
    const LocalProcess process(argv, log);
    for (;;) ::pause();
  } catch (const std::exception&) {
    ::_exit(1);
  }
}

TEST_F(LocalProcessTest, RanksEndWithTheirKilledCoordinator) {
  const pid_t parent = launch_in_child(two_ranks(folder(), kWhileLaunched), log());
  ASSERT_GT(parent, 0);
  const auto pids = ranks();
  ASSERT_EQ(::kill(parent, SIGKILL), 0);
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  EXPECT_TRUE(wait_until([&] { return !any_runs(pids); }, 10s)) << "a rank outlives its coordinator";
}

TEST_F(LocalProcessTest, ALoneWorkerEndsWithItsKilledCoordinator) {
  const std::string pid_file = (folder() / "pid").string();
  const pid_t parent = launch_in_child(
      shell("echo $$ > " + pid_file + ".tmp; mv " + pid_file + ".tmp " + pid_file + "; " + kForever), log());
  ASSERT_GT(parent, 0);
  const pid_t worker = pid_in("pid");
  ASSERT_TRUE(test::is_running(worker));
  ASSERT_EQ(::kill(parent, SIGKILL), 0);
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  EXPECT_TRUE(wait_until([&] { return !test::is_running(worker); }, 10s));
}

}  // namespace
}  // namespace regatta
