#pragma once
// Programs as a test sees them: started with their own process group, watched with a deadline, ended without strays.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace regatta::test {

using Millis = std::chrono::milliseconds;

/// A fresh folder under $TMPDIR or /tmp, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes `content` to `name` (folders in between are made) and returns the absolute path.
  std::filesystem::path write(const std::string& name, const std::string& content) const;

 private:
  std::filesystem::path path_;
};

struct ProcessOptions {
  std::map<std::string, std::string> environment;  ///< added to this process's own, or replacing
  std::filesystem::path folder;                    ///< working folder; empty: this process's
};

struct ProcessResult {
  int exit_code = 0;          ///< or 128 + signal
  std::optional<int> signal;  ///< that ended it
  bool timed_out = false;     ///< the deadline passed, and the group was killed
  std::string out, err;

  /// Everything, for a failing assertion.
  std::string text() const;
};

/// One running program in its own process group, stdin empty. The destructor kills the group and reaps.
class Process {
 public:
  /// Throws std::runtime_error when it cannot be started.
  explicit Process(const std::vector<std::string>& argv, const ProcessOptions& options = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number) const;  ///< to the program alone
  std::string out() const;        ///< what it has written until now
  std::string err() const;
  /// Waits for its end; past the deadline the whole group is killed and the result says so.
  ProcessResult wait(Millis deadline = std::chrono::seconds(60));

 private:
  TemporaryFolder folder_;
  pid_t pid_ = -1;
  std::optional<int> status_;  ///< of waitpid
};

/// Starts and waits.
ProcessResult run(const std::vector<std::string>& argv, const ProcessOptions& options = {},
                  Millis deadline = std::chrono::seconds(60));

/// Asks `condition` again and again until it holds or the deadline passes; returns its last answer.
bool wait_until(const std::function<bool()>& condition, Millis deadline = std::chrono::seconds(10));

/// True while a process with this id exists and is no zombie.
bool is_running(pid_t pid);

}  // namespace regatta::test
