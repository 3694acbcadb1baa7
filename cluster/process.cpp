// Nobody of a launch outlives it. mpirun puts each rank into a process group of its own, so a signal to its group does
// not reach them; they stay in its session, though, also after mpirun itself was killed. So a launch is a session, and
// the session is emptied before its leader is reaped: until then neither its number nor its members' can mean anybody
// else.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "cluster/launcher.hpp"
#include "cluster/spawn.hpp"
#include "common/error.hpp"
#include "common/files.hpp"

namespace regatta {

namespace {

using namespace std::chrono_literals;

// After SIGTERM mpirun asks its ranks at once, kills them a second later and ends: 2 s, twice that on a busy machine.
constexpr auto kGrace = 4s;
constexpr auto kLook = 5ms;  // how often a dying process is looked at

/// proc(5): "PID (name) state ppid pgrp session ..."; the name may hold anything, so its last ')' counts.
bool lives_in_session(const std::string& stat, pid_t session) {
  const auto close = stat.rfind(") ");
  if (close == std::string::npos || close + 2 >= stat.size()) return false;
  std::istringstream fields(stat.substr(close + 2));
  char state = 0;
  pid_t parent = 0, group = 0, found = 0;
  fields >> state >> parent >> group >> found;
  return fields && found == session && state != 'Z' && state != 'X';
}

/// Kills every member of the session; true when there was none left.
bool kill_members(pid_t session) {
  bool empty = true;
  std::error_code unreadable;  // without /proc only the group can be reached
  for (const auto& entry : fs::directory_iterator("/proc", unreadable)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    std::ifstream file(entry.path() / "stat");
    std::string stat;
    if (!std::getline(file, stat) || !lives_in_session(stat, session)) continue;  // gone meanwhile, or not ours
    empty = false;
    ::kill(pid, SIGKILL);
  }
  return empty;
}

ExitStatus status_of(int raw) {
  if (WIFSIGNALED(raw)) return {.code = 128 + WTERMSIG(raw), .signal = WTERMSIG(raw)};
  return {.code = WEXITSTATUS(raw)};
}

/// Looks until `done()` or the deadline; true when done.
template <class Condition>
bool look_until(Condition done, Duration deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

}  // namespace

std::vector<std::string> inherited_environment() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) entries.emplace_back(*entry);
  return entries;
}

struct LocalProcess::Impl {
  pid_t pid = -1;
  std::optional<ExitStatus> status;
  bool waited = false;

  /// True when the leader has ended; leaves it as a zombie that holds its number.
  bool leader_ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
  }

  /// Kills what lives of the launch and reaps its leader, once nothing lives any more: a process in an uninterruptible
  /// wait may take longer to die, and is waited for here only once.
  void empty_session() {
    ::kill(-pid, SIGKILL);
    const Duration patience = std::exchange(waited, true) ? 0s : 2s;
    if (!look_until([this] { return kill_members(pid) && leader_ended(); }, patience)) return;
    int raw = 0;
    pid_t reaped = 0;
    do {
      reaped = ::waitpid(pid, &raw, 0);
    } while (reaped < 0 && errno == EINTR);
    // Not ours to reap (SIGCHLD ignored, say): nobody knows how it ended, so it is not called done.
    status = reaped == pid ? status_of(raw) : ExitStatus{.code = static_cast<int>(ExitCode::kFailure)};
  }
};

LocalProcess::LocalProcess(const std::vector<std::string>& argv, const fs::path& log, const fs::path& input)
    : LocalProcess(argv, local_environment(inherited_environment(), ::geteuid() == 0), log, input) {}

LocalProcess::LocalProcess(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                           const fs::path& log, const fs::path& input)
    : impl_(std::make_unique<Impl>()) {
  impl_->pid = spawn(argv, environment, log, input);
}

LocalProcess::~LocalProcess() {
  kill();
}

pid_t LocalProcess::pid() const {
  return impl_->pid;
}

std::optional<ExitStatus> LocalProcess::poll() {
  if (!impl_->status && impl_->leader_ended()) impl_->empty_session();
  return impl_->status;
}

void LocalProcess::request_stop() {
  if (!poll()) ::kill(impl_->pid, SIGUSR1);
}

void LocalProcess::kill() {
  if (poll()) return;
  ::kill(impl_->pid, SIGTERM);
  look_until([this] { return impl_->leader_ended(); }, kGrace);
  impl_->empty_session();
}

}  // namespace regatta
