#pragma once
// Reads a growing journal.jsonl: each call returns the whole lines that are new. A torn tail waits for its rest.

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "common/records.hpp"

namespace regatta {

struct FollowedLine {
  JournalLine line;
  Json body;  ///< the line as written, unknown keys included: what the ledger keeps
};

/// Costs opening the file while nothing is new, so that following takes no time from the ranks beside it.
class JournalFollower {
 public:
  JournalFollower(std::filesystem::path journal, RunId run, int attempt);

  /// Nothing while the file does not exist. Throws IoError, with path and line, for a damaged line, a line of another
  /// run or attempt, a gap in seq, or a file that became shorter. Good lines before such a one are returned first, and
  /// the next call throws: who wants to know that all is well calls until nothing comes.
  std::vector<FollowedLine> poll();

 private:
  FollowedLine read_line(std::string_view text) const;

  std::filesystem::path journal_;
  RunId run_;
  int attempt_;
  std::uint64_t offset_ = 0;  ///< bytes of whole lines taken
  std::int64_t seq_ = 0;      ///< of the last line taken
};

}  // namespace regatta
