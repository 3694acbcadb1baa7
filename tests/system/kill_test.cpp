// kill -9, on ranks and on the coordinator.

#include <algorithm>
#include <csignal>
#include <iostream>
#include <random>
#include <set>
#include <thread>

#include "common/files.hpp"
#include "coordinator/ledger.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr, testing::IsEmpty;

class KillTest : public SystemTest {
 protected:
  /// A rank that wrote itself into a start line is alive: mpirun alone is no rank.
  bool rank_is_running() const {
    std::set<pid_t> started;
    std::error_code missing;
    for (const auto& run_dir : fs::directory_iterator(home() / "runs", missing))
      if (fs::exists(run_dir.path() / "attempt-1" / "journal.jsonl"))
        for (const pid_t pid : pids_in_journal(run_dir.path())) started.insert(pid);
    const auto alive = ranks();
    return std::any_of(alive.begin(), alive.end(), [&](pid_t pid) { return started.contains(pid); });
  }

  /// One coordinator killed at a random moment: before its ranks started, or after. True when a rank was running then.
  bool kill_coordinator(std::mt19937& random, bool early) {
    const auto job = folder_.write("job.yaml", endless_job({kTwoCores, kOneCore}));
    Process regatta_run(command({"run", job}), options_);
    EXPECT_TRUE(early || wait_until([&] { return rank_is_running(); }, 60s));
    std::this_thread::sleep_for(Millis(std::uniform_int_distribution<int>(50, 1500)(random)));  // the test's input
    const bool hit = rank_is_running();
    regatta_run.signal(SIGKILL);
    regatta_run.wait(5s);
    EXPECT_TRUE(wait_until([&] { return ranks().empty(); }, 10s)) << "ranks outlive their coordinator";
    return hit;
  }

  /// The ledger opens, the next command closes what was open, and says what it cost.
  void check_recovery() {
    if (!fs::exists(home() / "ledger.db")) return;  // killed before there was one
    std::vector<std::string> launched;
    for (const auto& run_state : runs())
      if (!is_final(run_state.status) && !run_state.attempts.empty()) launched.push_back(run_state.id.value);
    const auto list = regatta({"list"});
    EXPECT_EQ(list.exit_code, 0) << list.text();
    const State after = state();
    for (const auto& id : launched) {
      const RunState& lost = after.runs.at(id);
      EXPECT_EQ(lost.status, RunStatus::kLost) << id;
      ASSERT_TRUE(lost.bill) << id;
      EXPECT_EQ(lost.attempts[0].start.has_value(), lost.bill->total.nano > 0) << id;
    }
    for (const auto& [id, run_state] : after.runs) EXPECT_TRUE(is_final(run_state.status)) << id;
    const auto events = Ledger(home() / "ledger.db").events().size();
    EXPECT_EQ(regatta({"list"}).exit_code, 0);
    EXPECT_EQ(Ledger(home() / "ledger.db").events().size(), events) << "closing twice changes nothing";
  }

  void campaign(int kills, unsigned seed) {
    std::mt19937 random(seed);
    int hits = 0;
    for (int i = 0; i < kills && !HasFailure(); ++i) {
      SCOPED_TRACE("kill " + std::to_string(i + 1));
      hits += kill_coordinator(random, i % 4 == 3) ? 1 : 0;
      check_recovery();
    }
    std::cout << hits << " of the " << kills << " kills hit a running rank\n";
    EXPECT_GE(3 * hits, 2 * kills) << "at least " << 2 * kills / 3 << " of the " << kills
                                   << " kills hit a running rank";
  }
};

TEST_F(KillTest, ARankKilledEndsItsRunOnly) {
  const auto job =
      folder_.write("job.yaml", tiny_job({"{name: victim, pool: here, ranks: 2, stop: {epochs: 1000000}}", kOneCore}));
  Process regatta_run(command({"run", job}), options_);
  const auto pids = pids_in_journal(wait_for_journal("first_step"));
  ASSERT_EQ(pids.size(), 2U);
  ::kill(pids[1], SIGKILL);
  const auto result = regatta_run.wait(60s);
  EXPECT_EQ(result.exit_code, 1) << result.text();
  EXPECT_THAT(result.err, HasSubstr("victim: failed"));
  const auto all = runs();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].status, RunStatus::kFailed);
  ASSERT_TRUE(all[0].bill);
  EXPECT_GT(all[0].bill->total.nano, 0);
  NanoUsd lost;
  for (const auto& [part, amount] : all[0].bill->parts)
    if (part == "lost") lost = amount;
  EXPECT_GT(lost.nano, 0) << "what was trained is gone, there is no checkpoint";
  EXPECT_EQ(all[1].status, RunStatus::kDone);
  EXPECT_THAT(ranks(), IsEmpty());
}

TEST_F(KillTest, ACoordinatorKilledAtRandomMomentsLosesNothing) {
  campaign(6, 2024);
}

TEST_F(KillTest, LongRanksThatFallSilentAreKilledAndTheNextGoesOn) {
  const auto job = folder_.write(
      "job.yaml",
      tiny_job({"{name: silent, pool: here, ranks: 2, train: {deadline: 5}, stop: {epochs: 1000000}}", kOneCore}));
  Process regatta_run(command({"run", job}), options_);
  for (const pid_t pid : pids_in_journal(wait_for_journal("first_step"))) ::kill(pid, SIGSTOP);
  const auto result = regatta_run.wait(80s);  // 30 s of silence, a few to kill, and the next configuration
  EXPECT_EQ(result.exit_code, 1) << result.text();
  EXPECT_THAT(result.err, HasSubstr("silent: failed: killed: no sign of life from the ranks for 30 s"));
  EXPECT_EQ(runs().at(1).status, RunStatus::kDone);
  EXPECT_THAT(ranks(), IsEmpty());
}

TEST_F(KillTest, LongAWorkerThatNeverStartsIsKilledAfterAMinute) {
  const auto worker = folder_.write("worker", "#!/bin/sh\nexec sleep 1000\n");
  fs::permissions(worker, fs::perms::owner_all);
  const auto result = regatta({"run", folder_.write("job.yaml", tiny_job({kOneCore})), "--worker", worker}, 90s);
  EXPECT_EQ(result.exit_code, 1) << result.text();
  EXPECT_THAT(result.err, HasSubstr("one-core: failed: killed: the ranks wrote no start line within 60 s"));
  EXPECT_GT(runs().at(0).bill->total.nano, 0);  // a minute was held
}

TEST_F(KillTest, LongACoordinatorKilledAtThirtyRandomMomentsLosesNothing) {
  campaign(30, 7);
}

}  // namespace
}  // namespace regatta::test
