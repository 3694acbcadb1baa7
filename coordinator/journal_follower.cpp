#include "coordinator/journal_follower.hpp"

#include <fstream>

#include "common/error.hpp"

namespace regatta {

JournalFollower::JournalFollower(std::filesystem::path journal, RunId run, int attempt)
    : journal_(std::move(journal)), run_(std::move(run)), attempt_(attempt) {}

std::vector<FollowedLine> JournalFollower::poll() {
  // A network file system answers from memory how long a file is, and that there is none; opening makes it look again.
  std::error_code missing;
  const std::filesystem::directory_iterator looked(journal_.parent_path(), missing);
  std::ifstream file(journal_, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const auto size = static_cast<std::uint64_t>(file.tellg());
  if (size < offset_)
    throw IoError(journal_.string() + ": expected it to grow, found " + std::to_string(size) + " bytes after " +
                  std::to_string(offset_));
  if (size == offset_) return {};

  file.seekg(static_cast<std::streamoff>(offset_));
  std::string fresh(static_cast<std::size_t>(size - offset_), '\0');
  file.read(fresh.data(), static_cast<std::streamsize>(fresh.size()));
  fresh.resize(static_cast<std::size_t>(file.gcount()));

  std::vector<FollowedLine> lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = fresh.find('\n', begin)) != std::string::npos; begin = end + 1) {
    try {
      lines.push_back(read_line(std::string_view(fresh).substr(begin, end - begin)));
    } catch (const IoError& error) {
      if (!lines.empty()) break;  // the next call begins with this line
      throw IoError(journal_.string() + ", line " + std::to_string(seq_ + 1) + ": " + error.what());
    }
    seq_ = lines.back().line.seq;
    offset_ += end + 1 - begin;
  }
  return lines;
}

FollowedLine JournalFollower::read_line(std::string_view text) const {
  Json body = parse_json(text, "journal");
  JournalLine line = journal_line_from_json(body);
  if (line.run_id != run_ || line.attempt != attempt_ || line.seq != seq_ + 1)
    throw IoError("expected run " + run_.value + ", attempt " + std::to_string(attempt_) + ", seq " +
                  std::to_string(seq_ + 1) + ", found run " + line.run_id.value + ", attempt " +
                  std::to_string(line.attempt) + ", seq " + std::to_string(line.seq));
  return {std::move(line), std::move(body)};
}

}  // namespace regatta
