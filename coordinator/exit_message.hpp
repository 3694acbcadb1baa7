#pragma once
// What the ranks said last, for the exit event: a person should not have to open logs to learn what happened.

#include <filesystem>
#include <string>

namespace regatta {

/// The last error in rank-*.log of `attempt_dir`, lowest rank first; without one, the last error or else the last line
/// in launch.log, which has the launcher's own words. Empty when there is nothing, or when nothing can be read.
std::string last_error(const std::filesystem::path& attempt_dir);

/// The same of the ranks' logs alone.
std::string last_error_of_ranks(const std::filesystem::path& attempt_dir);

/// The last 64 KB of a log; empty when it cannot be read.
std::string log_tail(const std::filesystem::path& path);
/// The last error of a rank's log ("STAMP error TEXT" and the unstamped lines that follow it), without its stamp.
std::string last_rank_error(const std::string& log);
/// The last "regatta-worker: error: TEXT" of the launcher's output, else its last line with a word in it.
std::string last_launcher_error(const std::string& log);

}  // namespace regatta
