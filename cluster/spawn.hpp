#pragma once
// One child process with nothing inherited by accident.

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace regatta {

/// Starts `argv` (program sought in PATH) with exactly `environment`, in a session and process group of its own: stdin
/// is `input`, stdout and stderr are appended to `log`, no other descriptor, default signals. It gets SIGTERM when
/// the calling thread dies. Returns after its exec succeeded; the caller must reap it. Throws LaunchError naming the
/// program and the reason, with no child left behind.
pid_t spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
            const std::filesystem::path& log, const std::filesystem::path& input = "/dev/null");

/// This process's own, as NAME=VALUE.
std::vector<std::string> inherited_environment();

}  // namespace regatta
