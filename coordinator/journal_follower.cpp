#include "coordinator/journal_follower.hpp"

#include <fstream>

#include "common/error.hpp"

namespace regatta {

JournalFollower::JournalFollower(std::filesystem::path journal, RunId run, int attempt)
    : journal_(std::move(journal)), run_(std::move(run)), attempt_(attempt) {}

std::vector<FollowedLine> JournalFollower::poll() {
  std::error_code missing;
  const std::uint64_t size = std::filesystem::file_size(journal_, missing);
  if (missing) return {};
  const auto where = [&] { return journal_.string() + ", line " + std::to_string(seq_ + 1); };
  if (size < offset_)
    throw IoError(journal_.string() + ": expected it to grow, found " + std::to_string(size) + " bytes after " +
                  std::to_string(offset_));
  if (size == offset_) return {};

  std::ifstream file(journal_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset_));
  std::string fresh(static_cast<std::size_t>(size - offset_), '\0');
  file.read(fresh.data(), static_cast<std::streamsize>(fresh.size()));
  fresh.resize(static_cast<std::size_t>(file.gcount()));

  std::vector<FollowedLine> lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = fresh.find('\n', begin)) != std::string::npos; begin = end + 1) {
    Json body = parse_json(std::string_view(fresh).substr(begin, end - begin), where());
    JournalLine line = journal_line_from_json(body);
    if (line.run_id != run_ || line.attempt != attempt_ || line.seq != seq_ + 1)
      throw IoError(where() + ": expected run " + run_.value + ", attempt " + std::to_string(attempt_) + ", seq " +
                    std::to_string(seq_ + 1) + ", found run " + line.run_id.value + ", attempt " +
                    std::to_string(line.attempt) + ", seq " + std::to_string(line.seq));
    seq_ = line.seq;
    lines.push_back({std::move(line), std::move(body)});
  }
  offset_ += begin;
  return lines;
}

}  // namespace regatta
