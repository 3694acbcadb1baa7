#include "coordinator/ownership.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "coordinator/ingest.hpp"
#include "coordinator/process_table.hpp"
#include "run_files.hpp"
#include "samples.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* kOwnedRun = "01JZR1AAAAAAAAAAAAAAAAAAAA";

/// The events of a run's first seconds: run, owner, launch at 2 s, start line at 3 s.
std::vector<Event> opening(const RunFiles& files, const Owner& owner) {
  Plan plan = files.plan();
  plan.price = sample_price();
  return {run_event(plan, files.run_dir(), 0, at(1)), event("owner", kOwnedRun, 0, to_json(owner), 1),
          event("launch", kOwnedRun, 1, {{"argv", {"regatta-worker"}}, {"at", to_text(at(2))}}, 2),
          journal(kOwnedRun, 1, 1, start_record(), 3)};
}

class Recovery : public testing::Test {
 protected:
  Recovery() : files_(sample_plan(kOwnedRun)), ledger_file_(folder_.path() / "ledger.db") {}

  /// A coordinator that appends `events` as its own and is killed in the middle of its work; reaped when the test ends.
  Owner killed_coordinator(const std::function<std::vector<Event>(const Owner&)>& events) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    child_ = ::fork();
    if (child_ == 0) {
      try {
        const Owner me = this_process();
        Ledger ledger(ledger_file_);
        ledger.append(events(me), me);
        const std::string text = to_json(me).dump();
        if (::write(ready[1], text.data(), text.size()) > 0) ::pause();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
      }
      ::_exit(1);
    }
    ::close(ready[1]);
    char text[1024];
    const ssize_t got = ::read(ready[0], text, sizeof text);
    ::close(ready[0]);
    EXPECT_GT(got, 0);
    const Owner owner = owner_from_json(parse_json({text, static_cast<std::size_t>(got)}, "pipe"));
    EXPECT_TRUE(is_alive(owner));
    ::kill(child_, SIGKILL);
    EXPECT_TRUE(wait_until([&] { return !is_alive(owner); })) << "a zombie is no owner";
    return owner;
  }
  ~Recovery() override {
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
  }

  RunState run(const Ledger& ledger) const { return load_state(ledger).runs.at(kOwnedRun); }

  TemporaryFolder folder_;
  RunFiles files_;
  std::filesystem::path ledger_file_;
  pid_t child_ = -1;
};

TEST_F(Recovery, AKilledCoordinatorsRunIsLostWithWhatItCost) {
  // The journal went on after the coordinator's last look: a line that the ledger lacks, and half of another.
  files_.write_attempt(1, {{start_record(), at(3)}, {epoch_record(1, 8), at(11)}}, R"({"schema": 1, "run_id")");
  const Owner dead = killed_coordinator([&](const Owner& me) { return opening(files_, me); });

  Ledger ledger(ledger_file_);
  const auto said = recover(ledger);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_THAT(said[0], HasSubstr(kOwnedRun));
  EXPECT_THAT(said[0], HasSubstr("is lost"));
  EXPECT_THAT(said[0], HasSubstr("$0.000113"));

  const RunState lost = run(ledger);
  EXPECT_EQ(lost.status, RunStatus::kLost);
  EXPECT_EQ(lost.owner->fence, dead.fence + 1);
  ASSERT_EQ(lost.attempts.size(), 1U);
  EXPECT_TRUE(lost.attempts[0].lost);
  EXPECT_EQ(lost.attempts[0].epochs.size(), 1U) << "taken over from the journal";
  EXPECT_EQ(lost.attempts[0].held_s, 9) << "launched at 2 s, last sign of life at 11 s";
  EXPECT_EQ(lost.attempts[0].startup_s, 1);
  EXPECT_EQ(lost.attempts[0].exit_code, std::nullopt);
  EXPECT_EQ(lost.bill->total, NanoUsd{9 * 12'500}) << "one of two cores at $0.09 an hour: 12,500 nano-dollars a second";
  NanoUsd sum{};
  for (const auto& part : lost.bill->parts) sum += part.second;
  EXPECT_EQ(sum, lost.bill->total);

  const auto events = ledger.events().size();
  EXPECT_TRUE(recover(ledger).empty()) << "once is enough";
  EXPECT_EQ(ledger.events().size(), events);
  EXPECT_THROW(ledger.append({event("note", kOwnedRun, 0, Json::object())}, dead), IoError) << "the fence rose";
}

TEST_F(Recovery, WithoutAJournalItIsHeldForNoTime) {
  killed_coordinator([&](const Owner& me) {
    auto events = opening(files_, me);
    events.pop_back();  // killed before the start line
    return events;
  });
  Ledger ledger(ledger_file_);
  recover(ledger);
  EXPECT_EQ(run(ledger).status, RunStatus::kLost);
  EXPECT_EQ(run(ledger).attempts[0].held_s, 0);
  EXPECT_EQ(run(ledger).attempts[0].startup_s, std::nullopt);
}

TEST_F(Recovery, ARunThatFinishedIsDone) {
  files_.write_attempt(1, {{start_record(), at(3)}, {epoch_record(1, 8), at(11)}, {stop_record(), at(12)}});
  files_.write_result();
  killed_coordinator([&](const Owner& me) { return opening(files_, me); });
  Ledger ledger(ledger_file_);
  recover(ledger);
  const RunState done = run(ledger);
  EXPECT_EQ(done.status, RunStatus::kDone);
  EXPECT_EQ(done.attempts[0].exit_code, 0);
  EXPECT_EQ(done.attempts[0].held_s, 10);
  EXPECT_EQ(done.result.at("run_id"), kOwnedRun);
  EXPECT_EQ(done.bill->total, NanoUsd{10 * 12'500});
}

TEST_F(Recovery, ARunThatStoppedBecauseItsCoordinatorDiedIsLost) {
  files_.write_attempt(1, {{start_record(), at(3)}, {stop_record(75, "signal"), at(12)}});
  killed_coordinator([&](const Owner& me) { return opening(files_, me); });
  Ledger ledger(ledger_file_);
  recover(ledger);
  EXPECT_EQ(run(ledger).status, RunStatus::kLost);
  EXPECT_THAT(run(ledger).reason, HasSubstr("the ranks ended: signal"));
}

TEST_F(Recovery, ANormalStopWithoutAResultIsLost) {
  files_.write_attempt(1, {{start_record(), at(3)}, {stop_record(), at(12)}});
  killed_coordinator([&](const Owner& me) { return opening(files_, me); });
  Ledger ledger(ledger_file_);
  recover(ledger);
  EXPECT_EQ(run(ledger).status, RunStatus::kLost);
}

TEST_F(Recovery, ADamagedJournalDoesNotKeepTheRunOpen) {
  files_.write_attempt(1, {{start_record(), at(3)}}, "not a line\n");
  killed_coordinator([&](const Owner& me) { return opening(files_, me); });
  Ledger ledger(ledger_file_);
  recover(ledger);
  EXPECT_EQ(run(ledger).status, RunStatus::kLost);
  EXPECT_THAT(run(ledger).reason, HasSubstr("journal is damaged"));
  EXPECT_EQ(run(ledger).attempts[0].held_s, 1) << "by the line that the ledger had";
}

TEST_F(Recovery, ARunThatWasNeverLaunchedIsCancelledAndCostsNothing) {
  killed_coordinator([&](const Owner& me) {
    auto events = opening(files_, me);
    events.resize(2);
    return events;
  });
  Ledger ledger(ledger_file_);
  EXPECT_EQ(recover(ledger).size(), 1U);
  EXPECT_EQ(run(ledger).status, RunStatus::kCancelled);
  EXPECT_EQ(run(ledger).bill->total, NanoUsd{});
}

TEST_F(Recovery, ARecordedExitDecides) {
  killed_coordinator([&](const Owner& me) {
    auto events = opening(files_, me);
    events.push_back(event("exit", kOwnedRun, 1,
                           {{"code", 13},
                            {"signal", nullptr},
                            {"reason", "deadline"},
                            {"message", "rank 1 at step 7"},
                            {"held_s", 5},
                            {"startup_s", 1}},
                           7));
    return events;
  });
  Ledger ledger(ledger_file_);
  recover(ledger);
  EXPECT_EQ(run(ledger).status, RunStatus::kFailed);
  EXPECT_EQ(run(ledger).reason, "deadline: rank 1 at step 7");
  EXPECT_EQ(run(ledger).bill->total, NanoUsd{5 * 12'500});
}

TEST_F(Recovery, LeavesTheLivingAndOtherHostsAlone) {
  Owner elsewhere = this_process();
  elsewhere.host = "another-host";
  for (const Owner& living : {this_process(), elsewhere}) {
    const TemporaryFolder folder;
    Ledger ledger(folder.path() / "ledger.db");
    ledger.append(opening(files_, living));
    EXPECT_TRUE(recover(ledger).empty());
    EXPECT_EQ(ledger.events().size(), 4U);
  }
}

TEST_F(Recovery, TwoCommandsAtOnceCloseARunOnce) {
  files_.write_attempt(1, {{start_record(), at(3)}, {epoch_record(1, 8), at(11)}});
  killed_coordinator([&](const Owner& me) { return opening(files_, me); });
  std::vector<pid_t> commands;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        Ledger ledger(ledger_file_);
        recover(ledger);
        ::_exit(0);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
      }
      ::_exit(1);
    }
    commands.push_back(child);
  }
  for (const pid_t child : commands) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::map<std::string, int> kinds;
  for (const auto& one : Ledger(ledger_file_).events()) ++kinds[one.kind];
  EXPECT_EQ(kinds["lost"], 1);
  EXPECT_EQ(kinds["end"], 1);
  EXPECT_EQ(kinds["owner"], 2);
}

TEST_F(Recovery, ARunThatItsOwnerClosedBeforeItDiedStaysClosed) {
  const Owner dead = killed_coordinator([&](const Owner& me) { return opening(files_, me); });
  Ledger ledger(ledger_file_);
  const State seen = load_state(ledger);
  ledger.append({end_event(seen.runs.at(kOwnedRun), at(20))}, dead);  // its last word, after this command looked
  const auto events = ledger.events().size();
  EXPECT_TRUE(recover(ledger, seen).empty());
  EXPECT_EQ(ledger.events().size(), events);
}

TEST(Owners, AnotherProcessWithTheSameIdIsNotTheOwner) {
  Owner me = this_process();
  EXPECT_TRUE(is_alive(me));
  me.start_time -= 1;
  EXPECT_FALSE(is_alive(me)) << "the id was used again";
  me = this_process();
  me.boot_id = "before-the-last-boot";
  EXPECT_FALSE(is_alive(me));
}

TEST(ProcessTable, FindsTheRanksOfARunAndEndsStrays) {
  const TemporaryFolder folder;
  const std::string run_dir = folder.path() / "run";
  EXPECT_TRUE(wait_for_end_of_run(run_dir, 0ms)) << "nobody there";
  Process stray({"/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done", "rank", "--run-dir", run_dir});
  Process other({"/bin/sh", "-c", "while :; do sleep 0.05; done", "rank", "--run-dir", run_dir + "2"});
  ASSERT_TRUE(wait_until([&] { return processes_of_run(run_dir) == std::vector<std::int64_t>{stray.pid()}; }));
  EXPECT_TRUE(wait_for_end_of_run(run_dir, 100ms));
  EXPECT_EQ(stray.wait().signal, SIGKILL);
  EXPECT_TRUE(other.running()) << "of another run";
}

}  // namespace
}  // namespace regatta::test
