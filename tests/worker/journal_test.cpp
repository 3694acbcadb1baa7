// What rank 0 leaves on disk, read back by the readers of common/.

#include "worker/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/support/process.hpp"
#include "tests/worker/listener.hpp"
#include "tests/worker/worker_samples.hpp"
#include "worker/attempt_record.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

TEST(Journal, CountsItsLinesAndTellsOnlyWhatIsDurable) {
  const test::TemporaryFolder folder;
  const RunId run = new_run_id();
  std::vector<std::string> heard;
  Journal journal(folder.path(), run, 2, nullptr, [&](const RecordBody& body) {
    const auto lines = parse_journal(read_file(folder.path() / "journal.jsonl"));
    heard.push_back(type_of(body) + " " + std::to_string(lines.size()));
  });
  journal.write(record::FirstStep{1.5});
  journal.write(record::Heartbeat{.epoch = 1, .step = 3, .loss = std::numeric_limits<double>::infinity()});
  journal.write(record::Stop{.reason = "epochs", .epochs = 4});
  EXPECT_THAT(heard, testing::ElementsAre("first_step 1", "heartbeat 2", "stop 3"));
  std::int64_t seq = 0;
  for (const auto& line : parse_journal(read_file(folder.path() / "journal.jsonl"))) {
    EXPECT_EQ(line.seq, ++seq);
    EXPECT_EQ(line.run_id, run);
    EXPECT_EQ(line.attempt, 2);
  }
  EXPECT_EQ(seq, 3);
}

TEST(Journal, IsNeverWrittenOver) {
  const test::TemporaryFolder folder;
  { Journal(folder.path(), new_run_id(), 1, nullptr).write(record::FirstStep{}); }
  EXPECT_THROW(Journal(folder.path(), new_run_id(), 1, nullptr), IoError);
  EXPECT_EQ(parse_journal(read_file(folder.path() / "journal.jsonl")).size(), 1U);
}

TEST(Journal, EndsWithItsStopLine) {
  const test::TemporaryFolder folder;
  Journal journal(folder.path(), new_run_id(), 1, nullptr);
  journal.write(record::Stop{.reason = "error", .exit_code = 13});
  journal.write(record::Heartbeat{.epoch = 1, .step = 3});
  const auto lines = parse_journal(read_file(folder.path() / "journal.jsonl"));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(type_of(lines[0].body), "stop");
}

TEST(Journal, WritesOneRowARankAndEpoch) {
  const test::TemporaryFolder folder;
  Journal journal(folder.path(), new_run_id(), 1, nullptr);
  RankEpoch row{.epoch = 3, .rank = 1, .host = "n1", .samples = 42, .wall_s = 2.5};
  row.seconds[Phase::kCompute] = 1.25;
  journal.write_ranks({row, row});
  const std::string text = read_file(folder.path() / "ranks.jsonl");
  ASSERT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  const RankEpoch back = rank_epoch_from_json(parse_json(text.substr(0, text.find('\n')), "row"));
  EXPECT_EQ(back.rank, 1);
  EXPECT_EQ(back.samples, 42);
  EXPECT_EQ(back.host, "n1");
  EXPECT_EQ(back.seconds[Phase::kCompute], 1.25);
}

TEST(AttemptRecord, RemembersForAFailureWhatTheJournalSaid) {
  const test::TemporaryFolder folder;
  const Plan plan = test::small_plan(10, 2, {1});
  const RunFolder run{folder.path(), folder.path() / "attempt-1"};
  fs::create_directories(run.attempt);
  RankLog log(/*quiet=*/true);
  AttemptRecord record(plan, run, std::chrono::steady_clock::now(), log);
  record.journal().write(record::Epoch{.epoch = 1, .first_step = 1, .last_step = 5, .train_loss = 0.5});
  record.journal().write(record::Heartbeat{.epoch = 2, .step = 7, .loss = 0.4});
  record.close_failed(ExitCode::kData, "a damaged sample");

  const Json result = parse_json(read_file(folder.path() / "result.json"), "result");
  EXPECT_EQ(result["status"], "failed");
  EXPECT_EQ(result["exit_code"], 10);
  EXPECT_EQ(result["epochs"], 1);
  EXPECT_EQ(result["steps"], 7);
  EXPECT_EQ(result["message"], "a damaged sample");
  EXPECT_TRUE(result["weights"].is_null());
  const auto lines = parse_journal(read_file(run.attempt / "journal.jsonl"));
  const auto& stop = std::get<record::Stop>(lines.back().body);
  EXPECT_EQ(stop.reason, "error");
  EXPECT_EQ(stop.exit_code, 10);
  EXPECT_EQ(stop.steps, 7);
}

TEST(LastWords, CloseTheRecordOnceAndOnlyWhileThereIsOne) {
  const test::TemporaryFolder folder;
  const Plan plan = test::small_plan(10, 2, {1});
  const RunFolder run{folder.path(), folder.path() / "attempt-1"};
  fs::create_directories(run.attempt);
  RankLog log(/*quiet=*/true);
  LastWords last_words;
  last_words.say(ExitCode::kDeadline, "before there was a record");
  AttemptRecord record(plan, run, std::chrono::steady_clock::now(), log);
  last_words.set(&record);
  last_words.say(ExitCode::kDeadline, "rank 1 did not come");
  record.close_failed(ExitCode::kCommunication, "rank 0 woke up all the same");
  last_words.set(nullptr);
  last_words.say(ExitCode::kDeadline, "after it");

  const auto lines = parse_journal(read_file(run.attempt / "journal.jsonl"));
  ASSERT_EQ(lines.size(), 1U);
  const auto& stop = std::get<record::Stop>(lines[0].body);
  EXPECT_EQ(stop.exit_code, 13);
  EXPECT_EQ(stop.message, "rank 1 did not come");
  EXPECT_EQ(parse_json(read_file(folder.path() / "result.json"), "result")["message"], "rank 1 did not come");
}

TEST(LinkClient, SaysHelloAndThenWhatHappens) {
  const test::TemporaryFolder folder;
  test::Listener listener;
  folder.write("link.json", Json{{"port", listener.port}, {"token", "abc"}}.dump());
  const RunId run = new_run_id();
  LinkClient link(folder.path(), run, 3, [](const std::string& text) { ADD_FAILURE() << text; });
  link.send(JournalNotice{7});
  link.send(Progress{.epoch = 2, .step = 5});
  const auto hello = std::get<LinkHello>(decode(listener.read_line()));
  EXPECT_EQ(hello.token, "abc");
  EXPECT_EQ(hello.run_id, run);
  EXPECT_EQ(hello.attempt, 3);
  EXPECT_EQ(std::get<JournalNotice>(decode(listener.read_line())).seq, 7);
  EXPECT_EQ(std::get<Progress>(decode(listener.read_line())).step, 5);
}

TEST(LinkClient, NeverWaitsForACoordinatorThatDoesNotRead) {
  const test::TemporaryFolder folder;
  const test::Listener listener;
  folder.write("link.json", Json{{"port", listener.port}, {"token", "abc"}}.dump());
  std::vector<std::string> said;
  LinkClient link(folder.path(), new_run_id(), 1, [&](const std::string& text) { said.push_back(text); });
  for (std::int64_t seq = 0; seq < 2'000'000 && link.connected(); ++seq) link.send(JournalNotice{seq});
  EXPECT_FALSE(link.connected()) << "sockets and queue are full long before";
  ASSERT_EQ(said.size(), 1U);
  EXPECT_THAT(said[0], HasSubstr("does not read"));
}

TEST(LinkClient, WithoutAListenerIsALineInTheLog) {
  const test::TemporaryFolder folder;
  std::vector<std::string> said;
  const auto log = [&](const std::string& text) { said.push_back(text); };
  const LinkClient nobody(folder.path(), new_run_id(), 1, log);
  EXPECT_FALSE(nobody.connected());
  EXPECT_TRUE(said.empty()) << "no link.json: nobody listens, which is no event";
  folder.write("link.json", R"({"port": 1, "token": "00"})");
  LinkClient refused(folder.path(), new_run_id(), 1, log);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_THAT(said[0], HasSubstr("the journal goes on"));
  refused.send(JournalNotice{1});  // does nothing, harms nobody
}

}  // namespace
}  // namespace regatta
