#pragma once
// A short command of another program: what it says and how it ends, without waiting for it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/launcher.hpp"

namespace regatta {

struct CommandResult {
  int code = 0;            ///< exit code, or 128 + signal
  bool timed_out = false;  ///< it was killed at its deadline
  std::string text;        ///< what it wrote, both streams
};

/// Main thread only, as LocalProcess. The destructor ends the command.
class Command {
 public:
  /// Throws LaunchError naming the missing program.
  Command(const std::vector<std::string>& argv, const std::vector<std::string>& environment, Duration deadline);
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  /// Nothing while it runs and its deadline has not come.
  std::optional<CommandResult> poll();
  /// Waits for it.
  CommandResult wait();

 private:
  int output_;  // a file in memory
  SteadyTime deadline_;
  std::unique_ptr<LocalProcess> process_;
};

}  // namespace regatta
