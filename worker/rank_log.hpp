#pragma once
// One log a rank: rank-<r>.log in the attempt's folder. Rank 0's lines, and every rank's errors, also go to stderr.

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace regatta {

/// "2025-07-01T12:00:00.000000Z info text". Any thread. Never throws: a log that cannot be written ends nobody.
class RankLog {
 public:
  /// `quiet`: nothing but errors on stderr.
  explicit RankLog(bool quiet) : quiet_(quiet) {}
  ~RankLog();
  RankLog(const RankLog&) = delete;
  RankLog& operator=(const RankLog&) = delete;

  /// Lines from before are written now. Where there can be no file, warnings and errors go to stderr. `rank` and `host` stand in errors from here on.
  void open(const std::filesystem::path& attempt_dir, int rank, const std::string& host);
  void set_rank(int rank, const std::string& host);

  void info(const std::string& text);
  void warning(const std::string& text);
  /// `agreed`: all ranks know it, and rank 0 alone says it on stderr.
  void error(const std::string& text, bool agreed = false);

 private:
  /// The mutex is held.
  void write(std::string_view level, const std::string& text, bool to_stderr);

  const bool quiet_;
  std::mutex mutex_;  // guards what follows: the watchdog's thread speaks too
  int descriptor_ = -1;
  int rank_ = 0;
  std::string host_;
  std::vector<std::string> early_;
  bool lost_ = false;  // there is no file
};

}  // namespace regatta
