// A ledger that lost its tail opens with a prefix of its events, or is refused in clear words: never other figures.

#include <gtest/gtest.h>

#include <set>

#include "common/files.hpp"
#include "coordinator/ledger.hpp"
#include "samples.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

enum class Outcome { kPrefix, kRefused };

/// Opens what is in `folder` and checks it against what was appended.
Outcome check(const std::filesystem::path& file, const std::vector<Event>& whole, std::size_t* found = nullptr) {
  try {
    const Ledger ledger(file);
    const auto events = ledger.events();
    EXPECT_LE(events.size(), whole.size());
    for (std::size_t i = 0; i < events.size() && i < whole.size(); ++i) {
      EXPECT_EQ(events[i].seq, whole[i].seq);
      EXPECT_EQ(events[i].run_id, whole[i].run_id);
      EXPECT_EQ(events[i].kind, whole[i].kind);
      EXPECT_EQ(events[i].body, whole[i].body);
    }
    load_state(ledger);
    if (found != nullptr) *found = events.size();
    return Outcome::kPrefix;
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find(file.string()), std::string::npos) << error.what();
    return Outcome::kRefused;
  }
}

class LedgerCut : public testing::Test {
 protected:
  LedgerCut() {
    std::filesystem::create_directories(folder_.path() / "cut");
    for (int i = 0; i < 4; ++i) ledger_->append(finished_run("R" + std::to_string(i), "C" + std::to_string(i)));
    whole_ = ledger_->events();
  }
  std::filesystem::path cut_file() const { return folder_.path() / "cut" / "ledger.db"; }
  void write_cut(const std::string& main, const std::string& log) const {
    std::filesystem::remove(cut_file().string() + "-wal");
    std::filesystem::remove(cut_file().string() + "-shm");
    folder_.write("cut/ledger.db", main);
    if (!log.empty()) folder_.write("cut/ledger.db-wal", log);
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "ledger.db";
  std::unique_ptr<Ledger> ledger_ = std::make_unique<Ledger>(file_);
  std::vector<Event> whole_;
};

TEST_F(LedgerCut, AtBytesAllOverItsFile) {
  ledger_.reset();  // the last connection moves the write-ahead log into the file
  const std::string content = read_file(file_);
  ASSERT_GT(content.size(), 3U * 4096);
  // Every byte around the places where something begins or ends, and every 23rd between: coprime to page and cell
  // sizes.
  std::size_t refused = 0;
  for (std::size_t size = 0; size < content.size(); ++size) {
    const std::size_t in_page = size % 4096;
    if (size > 120 && in_page > 8 && in_page < 4088 && size % 23 != 0) continue;
    write_cut(content.substr(0, size), "");
    std::size_t events = 0;
    const auto outcome = check(cut_file(), whole_, &events);
    if (outcome == Outcome::kRefused)
      ++refused;
    else
      EXPECT_EQ(events, 0U) << "only an empty file is a ledger without its tail; this one has " << size << " bytes";
    ASSERT_FALSE(HasFailure()) << "cut at byte " << size;
  }
  EXPECT_GT(refused, 500U);
  write_cut(content, "");
  EXPECT_EQ(check(cut_file(), whole_), Outcome::kPrefix) << "the whole file is good";
}

TEST_F(LedgerCut, AtManyBytesOfItsWriteAheadLog) {
  const std::string main = read_file(file_);
  const std::string log = read_file(file_.string() + "-wal");
  ASSERT_GT(log.size(), 8U * 4096);
  // The log is a header of 32 bytes and frames of 24 + 4096: around each boundary, and every 509th byte between.
  std::size_t most = 0;
  std::set<std::size_t> seen;
  for (std::size_t size = 0; size <= log.size(); ++size) {
    const std::size_t in_frame = size < 32 ? size : (size - 32) % 4120;
    if (in_frame > 1 && in_frame < 4119 && size % 509 != 0) continue;
    write_cut(main, log.substr(0, size));
    std::size_t events = 0;
    if (check(cut_file(), whole_, &events) == Outcome::kPrefix) seen.insert(events);
    EXPECT_GE(events, most) << "more bytes never hold fewer events";
    most = events;
    ASSERT_FALSE(HasFailure()) << "log cut at byte " << size;
  }
  EXPECT_EQ(seen, (std::set<std::size_t>{0, 10, 20, 30, 40})) << "whole transactions only";
}

TEST_F(LedgerCut, OfAFileWhoseLogIsStillThere) {
  { const Ledger other(file_); }
  const std::string main = read_file(file_);
  const std::string log = read_file(file_.string() + "-wal");
  for (std::size_t size = 0; size < main.size(); size += 509) {
    write_cut(main.substr(0, size), log);
    check(cut_file(), whole_);
    ASSERT_FALSE(HasFailure()) << "cut at byte " << size;
  }
}

}  // namespace
}  // namespace regatta::test
