#pragma once
// Errors in two tiers: `Error` and its children for what the world did, REGATTA_ENSURE for what we did wrong.

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace regatta {

/// Exit codes of both binaries (DESIGN: identities, run directory, journal). Users' scripts depend on the numbers.
enum class ExitCode : int {
  kDone = 0,
  kFailure = 1,         ///< coordinator: some configuration failed, or a question had no answer
  kBadConfig = 2,       ///< job file, cluster file or command line
  kData = 10,           ///< dataset missing, damaged or changed
  kCommunication = 11,  ///< MPI or link error
  kLostPeer = 12,       ///< a rank's connection closed (kept: under Open MPI 4.1 mpirun says it, with its own code)
  kDeadline = 13,       ///< a wait outlasted train.deadline
  kNonFiniteLoss = 14,
  kDisk = 15,
  kOutOfMemory = 16,
  kStoppedOnRequest = 75,  ///< EX_TEMPFAIL: stopped cleanly by USR1 or TERM, may be continued
  kInterrupted = 130,      ///< coordinator: Ctrl-C
};

/// What the world did. `what()` says what, where, expected against found, and the next step.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode exit_code() const { return code_; }

 private:
  ExitCode code_;
};

/// One finding in a file that a person wrote. Line and column count from 1; 0 means "the whole file".
struct Diagnostic {
  std::string file;
  int line = 0;
  int column = 0;
  std::string message;  ///< "train.optimizer.kind: unknown optimizer \"adamm\""
  std::string advice;   ///< "known: adam, adamw, sgd. Did you mean \"adam\"?"; may be empty

  /// "file:line:column: message\n  advice"
  std::string text() const;
};

/// A job file, cluster file or command line that cannot be used; holds every finding, in file order.
class ConfigError : public Error {
 public:
  explicit ConfigError(std::vector<Diagnostic> diagnostics);
  explicit ConfigError(const std::string& message) : Error(ExitCode::kBadConfig, message) {}
  const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }

 private:
  std::vector<Diagnostic> diagnostics_;
};

struct DataError : Error {
  explicit DataError(const std::string& message) : Error(ExitCode::kData, message) {}
};
struct CommError : Error {
  explicit CommError(const std::string& message, ExitCode code = ExitCode::kCommunication) : Error(code, message) {}
};
struct LaunchError : Error {
  explicit LaunchError(const std::string& message) : Error(ExitCode::kFailure, message) {}
};
struct IoError : Error {
  explicit IoError(const std::string& message) : Error(ExitCode::kDisk, message) {}
};

[[noreturn]] void ensure_failed(const char* condition, const char* file, int line, const std::string& message);

/// "No such file or directory" for an errno value; safe with threads.
std::string errno_text(int error_number);

}  // namespace regatta

/// A broken promise of our own: always on, throws std::logic_error with file and line.
#define REGATTA_ENSURE(condition, message)                                                 \
  do {                                                                                     \
    if (!(condition)) ::regatta::ensure_failed(#condition, __FILE__, __LINE__, (message)); \
  } while (false)
