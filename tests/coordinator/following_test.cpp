// Following an attempt: its journal as it grows, its last words, and when to give up on it.

#include <gmock/gmock.h>

#include <fstream>

#include "common/error.hpp"
#include "coordinator/exit_message.hpp"
#include "coordinator/journal_follower.hpp"
#include "coordinator/vitals.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;

const RunId kFollowedRun{"01HZZZZZZZZZZZZZZZZZZZZZZZ"};

std::string line(std::int64_t seq, const RunId& run = kFollowedRun, int attempt = 1) {
  return to_json(JournalLine{.run_id = run, .attempt = attempt, .seq = seq, .body = record::FirstStep{1.5}}).dump();
}

class JournalFollowerTest : public testing::Test {
 protected:
  void write(const std::string& text) const { std::ofstream(file_, std::ios::app) << text; }
  std::vector<std::int64_t> seqs() {
    std::vector<std::int64_t> result;
    for (const auto& followed : follower_.poll()) result.push_back(followed.line.seq);
    return result;
  }

  test::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "journal.jsonl";
  JournalFollower follower_{file_, kFollowedRun, 1};
};

using testing::ElementsAre, testing::IsEmpty, testing::HasSubstr;

TEST_F(JournalFollowerTest, ReturnsWholeLinesOnce) {
  EXPECT_THAT(seqs(), IsEmpty());  // no file yet
  write(line(1) + "\n" + line(2) + "\n");
  EXPECT_THAT(seqs(), ElementsAre(1, 2));
  EXPECT_THAT(seqs(), IsEmpty());
}

TEST_F(JournalFollowerTest, WaitsForTheRestOfATornLineAtEveryByte) {
  const std::string text = line(1) + "\n";
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    write(text.substr(i, 1));
    ASSERT_THAT(seqs(), IsEmpty()) << "after byte " << i;
  }
  write("\n" + line(2));
  EXPECT_THAT(seqs(), ElementsAre(1));
  write("\n");
  EXPECT_THAT(seqs(), ElementsAre(2));
}

TEST_F(JournalFollowerTest, KeepsUnknownKeysAsWritten) {
  Json body = parse_json(line(1), "test");
  body["from_a_later_version"] = 42;
  write(body.dump() + "\n");
  const auto lines = follower_.poll();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].body.at("from_a_later_version"), 42);
}

TEST_F(JournalFollowerTest, RefusesWhatIsNotItsJournal) {
  const std::pair<std::string, const char*> cases[] = {{line(2), "seq 1"},
                                                       {line(1, RunId{"01HZZZZZZZZZZZZZZZZZZZZZZY"}), "ZZZY"},
                                                       {line(1, kFollowedRun, 2), "attempt 2"},
                                                       {"{\"schema\": 1", "line 1"},
                                                       {"", "line 1"}};
  for (const auto& [text, word] : cases) {
    std::ofstream(file_) << text << '\n';
    JournalFollower follower(file_, kFollowedRun, 1);
    try {
      follower.poll();
      ADD_FAILURE() << "accepted: " << text;
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), HasSubstr(word));
    }
  }
}

TEST_F(JournalFollowerTest, GivesTheGoodLinesBeforeADamagedOneFirst) {
  Json no_number = parse_json(line(3), "test");
  no_number["startup_s"] = "soon";
  write(line(1) + "\n" + line(2) + "\n" + no_number.dump() + "\n" + line(4) + "\n");
  EXPECT_THAT(seqs(), ElementsAre(1, 2));
  for (int again = 0; again < 2; ++again) {
    try {
      follower_.poll();
      ADD_FAILURE() << "accepted a damaged line";
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(file_.string() + ", line 3: startup_s: "));
    }
  }
}

TEST_F(JournalFollowerTest, RefusesAFileThatBecameShorter) {
  write(line(1) + "\n" + line(2) + "\n");
  follower_.poll();
  std::filesystem::resize_file(file_, 10);
  EXPECT_THROW(follower_.poll(), IoError);
}

constexpr const char* kStamp = "2025-07-01T12:00:00.000000Z";

TEST(ExitMessage, TakesTheLastErrorOfARank) {
  const std::string log = std::string(kStamp) + " info error rates are fine\n" + kStamp + " error first\n" + kStamp +
                          " error a.idx: expected 10 bytes, found 9\n  copy it again\n" + kStamp +
                          " info leaving\nstray\n";
  EXPECT_EQ(last_rank_error(log), "a.idx: expected 10 bytes, found 9\n  copy it again");
  EXPECT_EQ(last_rank_error(std::string(kStamp) + " info fine\n"), "");
}

TEST(ExitMessage, TakesTheWorkersErrorBeforeTheLaunchersLastWord) {
  const std::string banner = "--------\nmpirun noticed that process rank 1 exited on signal 9 (Killed).\n--------\n\n";
  EXPECT_EQ(last_launcher_error(banner), "mpirun noticed that process rank 1 exited on signal 9 (Killed).");
  EXPECT_EQ(last_launcher_error("regatta-worker: error: no such file\n" + banner), "no such file");
}

TEST(ExitMessage, LooksAtRanksInOrderAndThenAtTheLauncher) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(last_error(folder.path()), "");
  folder.write("launch.log", "mpirun: gone\n");
  folder.write("rank-0.log", std::string(kStamp) + " info fine\n");
  EXPECT_EQ(last_error(folder.path()), "mpirun: gone");
  folder.write("rank-10.log", std::string(kStamp) + " error ten\n");
  EXPECT_EQ(last_error(folder.path()), "ten");
  folder.write("rank-2.log", std::string(kStamp) + " error two\n");
  EXPECT_EQ(last_error(folder.path()), "two");
}

/// A clock that the test moves.
class DecideTest : public testing::Test {
 protected:
  Decision at(Duration since_launch) const { return decide(vitals_, start_ + since_launch); }
  SteadyTime start_ = SteadyTime{} + 1h;
  Vitals vitals_{.launched = start_, .last_sign = start_};
};

TEST_F(DecideTest, GivesRanksAMinuteToStart) {
  EXPECT_EQ(at(60s).act, Act::kGoOn);
  EXPECT_EQ(at(60s + 1ms).act, Act::kKill);
  EXPECT_THAT(at(61s).reason, HasSubstr("start line within 60 s"));
  vitals_.deadline_s = 100;
  EXPECT_EQ(at(300s).act, Act::kGoOn);
  EXPECT_EQ(at(301s).act, Act::kKill);
  vitals_.deadline_s.reset();
  vitals_.data_bytes = 500'000'000;  // 100 s at 5 MB/s
  EXPECT_EQ(at(160s).act, Act::kGoOn);
  EXPECT_EQ(at(161s).act, Act::kKill);
}

TEST_F(DecideTest, KillsSilentRanksAfterThreeDeadlines) {
  vitals_.started = true;
  vitals_.deadline_s = 20;
  vitals_.last_sign = start_ + 100s;
  EXPECT_EQ(at(160s).act, Act::kGoOn);
  EXPECT_EQ(at(160s + 1ms).act, Act::kKill);
  EXPECT_THAT(at(161s).reason, HasSubstr("no sign of life from the ranks for 60 s"));
}

TEST_F(DecideTest, StopsOnceThenKillsAfterABoundOrAtTheSecondWord) {
  vitals_.started = true;
  vitals_.interrupts = 1;
  EXPECT_EQ(at(1s).act, Act::kRequestStop);
  vitals_.stop_requested = vitals_.asked_again = start_ + 1s;
  EXPECT_EQ(at(1900ms).act, Act::kGoOn);
  EXPECT_EQ(at(2s).act, Act::kRequestStop) << "again: mpirun may have dropped it";
  vitals_.asked_again = start_ + 16s;
  EXPECT_EQ(at(16s).act, Act::kGoOn);
  EXPECT_EQ(at(16s + 1ms).act, Act::kKill);
  vitals_.step = 20s;
  EXPECT_EQ(at(60s).act, Act::kRequestStop) << "three long steps may pass";
  EXPECT_EQ(at(62s).act, Act::kKill);
  vitals_.interrupts = 2;
  EXPECT_EQ(at(2s).act, Act::kKill);
}

TEST_F(DecideTest, BeforeTheFirstStepThereIsNothingToKeep) {
  vitals_.interrupts = 1;
  EXPECT_EQ(at(1s).act, Act::kKill);
}

TEST(SilenceLimit, FollowsTheDeadline) {
  EXPECT_EQ(silence_limit(1.0, {}), 30s);  // never below three heartbeats
  EXPECT_EQ(silence_limit(20.0, {}), 60s);
  EXPECT_EQ(silence_limit({}, Duration(100ms)), 30s);  // auto: 10 s
  EXPECT_EQ(silence_limit({}, Duration(4s)), 60s);     // auto: 5 steps of 4 s
  EXPECT_EQ(silence_limit({}, {}), 180s);              // auto before the first step
}

}  // namespace
}  // namespace regatta
