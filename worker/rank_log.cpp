#include "worker/rank_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "common/error.hpp"
#include "common/time.hpp"

namespace regatta {

namespace {

/// One write a line, so that the lines of several ranks do not mix on a shared stderr.
void write_line(int descriptor, std::string line) {
  line += '\n';
  [[maybe_unused]] const auto written = ::write(descriptor, line.data(), line.size());
}

}  // namespace

RankLog::~RankLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void RankLog::open(const std::filesystem::path& attempt_dir, int rank, const std::string& host) {
  const auto path = attempt_dir / ("rank-" + std::to_string(rank) + ".log");
  const std::lock_guard lock(mutex_);
  rank_ = rank;
  host_ = host;
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    // A host that does not see the run's folder: its ranks' lines go through the launcher, but for what is only news.
    write_line(STDERR_FILENO, "regatta-worker: cannot open " + path.string() + ": " + errno_text(errno));
    lost_ = true;
    for (auto& line : early_)
      if (line.find(" info ") == std::string::npos) write_line(STDERR_FILENO, "regatta-worker: " + line);
    early_.clear();
    return;
  }
  for (auto& line : early_) write_line(descriptor_, std::move(line));
  early_.clear();
}

void RankLog::set_rank(int rank, const std::string& host) {
  const std::lock_guard lock(mutex_);
  rank_ = rank;
  host_ = host;
}

void RankLog::info(const std::string& text) {
  const std::lock_guard lock(mutex_);
  write("info", text, !quiet_ && rank_ == 0);
}
void RankLog::warning(const std::string& text) {
  const std::lock_guard lock(mutex_);
  write("warning", text, !quiet_ && rank_ == 0);
}
void RankLog::error(const std::string& text, bool agreed) {
  const std::lock_guard lock(mutex_);
  // What one rank alone knows names it.
  const std::string where = agreed || host_.empty() ? "" : "rank " + std::to_string(rank_) + " on " + host_ + ": ";
  write("error", where + text, !agreed || rank_ == 0);
}

void RankLog::write(std::string_view level, const std::string& text, bool to_stderr) {
  std::string line = to_text(wall_now()) + " " + std::string(level) + " " + text;
  if (to_stderr)
    write_line(STDERR_FILENO, "regatta-worker: " + (level == "info" ? text : std::string(level) + ": " + text));
  if (descriptor_ >= 0)
    write_line(descriptor_, std::move(line));
  else if (lost_ && !to_stderr && level != "info")
    write_line(STDERR_FILENO, "regatta-worker: rank " + std::to_string(rank_) + " on " + host_ + ": " + line);
  else if (!lost_)
    early_.push_back(std::move(line));
}

}  // namespace regatta
