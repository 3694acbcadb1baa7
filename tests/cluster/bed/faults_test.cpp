// What becomes of a run on hosts reached by ssh when a rank, a host, a cable or its coordinator fails: noticed, named,
// ended with the right code and bill, and nothing left behind. Each test prints how long noticing took.
#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "common/error.hpp"
#include "common/files.hpp"
#include "coordinator/ledger.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

// Two ranks on each of three hosts, which never come to an end by themselves.
constexpr const char* kEndless = R"(name: endless
model: {kind: mlp, hidden: [64]}
data: {format: synthetic, samples: 19200, shape: [1, 28, 28], classes: 10}
train: {batch: 96, optimizer: {kind: sgd, lr: 0.001}, deadline: 5s}
stop: {epochs: 100000}
configurations:
  - {name: three-hosts, pool: hosts, ranks: 6}
)";
constexpr const char* kHosts =
    "pools:\n  hosts: {launcher: ssh, nodes: 3, cores_per_node: 1, oversubscribe: true, hosts: [n1, n2, n3], "
    "ssh_config: ssh/config, price: {usd_per_node_hour: 0.1}}\n";
constexpr double kNoticedWithinS = 15;
constexpr auto kCleanAfterMending = std::chrono::seconds(20);

/// What one fault came to.
struct Outcome {
  ProcessResult command;
  RunState run;
  double noticed_s = 0, ended_s = 0;  ///< fault to its first ledger event, and to the exit event

  const AttemptState& attempt() const { return run.attempts.at(0); }
  std::string words() const { return attempt().exit_reason + ": " + attempt().exit_message; }
};

class HostFaults : public BedTest {
 protected:
  HostFaults() : BedTest({.hosts = 3}) {}

  /// Starts the run and returns when it trains.
  void start() {
    const auto job = write("job.yaml", kEndless), cluster = write("cluster.yaml", kHosts);
    command_ = std::make_unique<Process>(
        regatta_command({"run", job, "--cluster", cluster}),
        ProcessOptions{.environment = {{"NO_COLOR", "1"}, {"REGATTA_SLOTS", bed().folder() / "slots"}}});
    const bool trains =
        wait_until([&] { return !command_->running() || journal().find("\"early\"") != std::string::npos; },
                   std::chrono::seconds(30));
    ASSERT_TRUE(trains && command_->running()) << command_->wait(Millis(1)).text();
    // The ledger follows the journal within a moment.
    ASSERT_TRUE(wait_until([&] { return run_now().attempts.at(0).start.has_value(); }));
  }

  std::string journal() const {
    std::error_code none_yet;
    for (const auto& run : fs::directory_iterator(home() / "runs", none_yet)) {
      std::ifstream file(run.path() / "attempt-1/journal.jsonl");
      std::ostringstream text;
      text << file.rdbuf();
      if (!text.str().empty()) return text.str();
    }
    return "";
  }

  std::vector<Event> events() const { return Ledger(home() / "ledger.db").events(); }

  RunState run_now() const {
    State state;
    for (const auto& event : events()) apply(state, event);
    return state.runs.begin()->second;
  }

  /// Does `fault` and waits for the command to end.
  Outcome after(const std::function<void()>& fault, Millis deadline = std::chrono::seconds(40)) {
    const Timestamp at = wall_now();
    fault();
    Outcome outcome{.command = command_->wait(deadline)};
    bool first = true;
    for (const auto& event : events()) {
      const bool about_it = event.kind == "fault" || event.kind == "exit";
      if (!about_it || event.at < at) continue;
      if (first) outcome.noticed_s = seconds(event.at - at);
      first = false;
      outcome.ended_s = seconds(event.at - at);
    }
    outcome.run = run_now();
    std::printf("[ fault to first ledger event %.1f s, to exit event %.1f s ] %s\n", outcome.noticed_s, outcome.ended_s,
                outcome.words().c_str());
    for (const auto& noticed : outcome.attempt().faults) std::printf("    noticed: %s\n", noticed.c_str());
    EXPECT_FALSE(first) << outcome.command.text();
    EXPECT_LT(outcome.noticed_s, kNoticedWithinS);
    EXPECT_EQ(outcome.command.exit_code, static_cast<int>(ExitCode::kFailure)) << outcome.command.text();
    EXPECT_EQ(outcome.run.status, RunStatus::kFailed);
    expect_bill(outcome);
    return outcome;
  }

  /// Three nodes for as long as they were held, in parts that sum to it.
  static void expect_bill(const Outcome& outcome) {
    ASSERT_TRUE(outcome.run.bill);
    const double expected = 3 * *outcome.attempt().held_s / 3600 * 0.1;
    EXPECT_NEAR(std::stod(to_decimal(outcome.run.bill->total)), expected, 1e-6);
    NanoUsd sum{};
    for (const auto& [name, amount] : outcome.run.bill->parts) sum = NanoUsd{sum.nano + amount.nano};
    EXPECT_EQ(sum, outcome.run.bill->total);
    EXPECT_GE(*outcome.attempt().held_s, outcome.ended_s);
  }

  void kill_rank(std::size_t rank) {
    const auto place = run_now().attempts.at(0).start->ranks.at(rank);
    const auto killed = bed().run_on(place.host, {"kill", "-KILL", std::to_string(place.pid)});
    ASSERT_EQ(killed.exit_code, 0) << killed.text();
  }

 private:
  std::unique_ptr<Process> command_;
};

TEST_F(HostFaults, KilledRank) {
  ASSERT_NO_FATAL_FAILURE(start());
  const auto outcome = after([&] { kill_rank(3); });
  EXPECT_EQ(outcome.attempt().exit_code, 137);
  EXPECT_THAT(outcome.words(), AllOf(HasSubstr("rank 3 on n2"), HasSubstr("SIGKILL")));
  EXPECT_EQ(bed().strays({"n0", "n1", "n2", "n3"}), "");
}

TEST_F(HostFaults, KilledRankZero) {
  ASSERT_NO_FATAL_FAILURE(start());
  const auto outcome = after([&] { kill_rank(0); });
  EXPECT_EQ(outcome.attempt().exit_code, 137);
  EXPECT_THAT(outcome.words(), AllOf(HasSubstr("rank 0 on n1"), HasSubstr("SIGKILL")));
  EXPECT_EQ(bed().strays({"n0", "n1", "n2", "n3"}), "");
}

TEST_F(HostFaults, CrashedHost) {
  ASSERT_NO_FATAL_FAILURE(start());
  const auto outcome = after([&] { bed().act("crash", "n2"); });
  EXPECT_EQ(outcome.attempt().exit_code, 205);
  EXPECT_THAT(outcome.words(), AllOf(HasSubstr("a host was lost"), HasSubstr("host n2 (ranks 2, 3)")));
  EXPECT_EQ(bed().strays({"n0", "n1", "n3"}), "");
}

TEST_F(HostFaults, CutCable) {
  ASSERT_NO_FATAL_FAILURE(start());
  const auto outcome = after([&] { bed().act("cut", "n3"); });
  EXPECT_EQ(outcome.attempt().exit_code, 205);
  EXPECT_THAT(outcome.words(), HasSubstr("host n3 (ranks 4, 5) was lost"));
  EXPECT_EQ(bed().strays({"n0", "n1", "n2"}), "");
  bed().act("mend", "n3");
  EXPECT_EQ(bed().strays({"n3"}, kCleanAfterMending), "");
}

TEST_F(HostFaults, BlackHoleBeforeRankZero) {
  ASSERT_NO_FATAL_FAILURE(start());
  const auto outcome = after([&] { bed().act("drop", "n1"); });
  EXPECT_EQ(outcome.attempt().exit_code, 205);
  EXPECT_THAT(outcome.words(), HasSubstr("host n1 (ranks 0, 1) was lost"));
  EXPECT_EQ(bed().strays({"n0", "n2", "n3"}), "");
  bed().act("undrop", "n1");
  EXPECT_EQ(bed().strays({"n1"}, kCleanAfterMending), "");
}

TEST_F(HostFaults, FrozenHost) {
  ASSERT_NO_FATAL_FAILURE(start());
  const auto outcome = after([&] { bed().act("freeze", "n2"); });
  EXPECT_EQ(outcome.attempt().exit_code, static_cast<int>(ExitCode::kDeadline));
  EXPECT_THAT(outcome.words(), AllOf(HasSubstr("train.deadline"), HasSubstr("host n2 (ranks 2, 3)")));
  EXPECT_EQ(bed().strays({"n0", "n1", "n3"}), "");
  bed().act("thaw", "n2");
  EXPECT_EQ(bed().strays({"n2"}, kCleanAfterMending), "");
}

TEST_F(HostFaults, FrozenHostOfRankZero) {
  ASSERT_NO_FATAL_FAILURE(start());
  const auto outcome = after([&] { bed().act("freeze", "n1"); });
  EXPECT_EQ(outcome.attempt().exit_code, static_cast<int>(ExitCode::kDeadline));
  EXPECT_THAT(outcome.words(), AllOf(HasSubstr("train.deadline"), HasSubstr("host n1 (ranks 0, 1)")));
  EXPECT_EQ(bed().strays({"n0", "n2", "n3"}), "");
  bed().act("thaw", "n1");
  EXPECT_EQ(bed().strays({"n1"}, kCleanAfterMending), "");
}

TEST_F(HostFaults, KilledCoordinator) {
  ASSERT_NO_FATAL_FAILURE(start());
  const std::string pid = std::to_string(run_now().owner->pid);
  ASSERT_EQ(bed().run_on("n0", {"kill", "-KILL", pid}).exit_code, 0);
  EXPECT_EQ(bed().strays({"n0", "n1", "n2", "n3"}, std::chrono::seconds(10)), "");
}

}  // namespace
}  // namespace regatta::test
