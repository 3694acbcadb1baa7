#include "coordinator/journal_follower.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "common/error.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

using testing::ElementsAre, testing::IsEmpty, testing::HasSubstr;

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

}  // namespace
}  // namespace regatta
