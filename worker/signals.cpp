#include "worker/signals.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <sstream>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"

namespace regatta {

namespace {

// A signal handler reaches nothing but a global; this is the only one, and StopSignals its only owner.
std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

constexpr std::size_t kStackBytes = 64 << 10;  // the registers of AVX-512 alone take 3 KB

void handle(int) {
  stop_requested.store(true, std::memory_order_relaxed);
}

void set_handler(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK | SA_RESTART;  // a write to the journal must not fail because of it
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGUSR1, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() : stack_(kStackBytes) {
  stop_requested = false;
  stack_t stack = {};
  stack.ss_sp = stack_.data();
  stack.ss_size = stack_.size();
  REGATTA_ENSURE(::sigaltstack(&stack, nullptr) == 0, "a stack for signals");
  set_handler(handle);
}
// Not back to the default: a late TERM while the process leaves must not change its exit code.
StopSignals::~StopSignals() {
  set_handler(SIG_IGN);
  stack_t none = {};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
}
const std::atomic<bool>& StopSignals::requested() const {
  return stop_requested;
}

void die_with_launcher(const LauncherVariables& variables) {
  if (variables.launcher != "Open MPI") return;
  const pid_t parent = ::getppid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // It may have died before the call took effect; then nobody would ever tell.
  if (::getppid() != parent) throw LaunchError("the launcher ended while this rank started");
}

SteadyTime process_start() {
  // Field 22 of /proc/self/stat, in clock ticks since boot; the name in field 2 may hold blanks, so count from its ')'.
  const std::string stat = read_file("/proc/self/stat", 1 << 16);
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  const double started_s = std::stod(field) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  timespec boot = {};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  const double age_s = static_cast<double>(boot.tv_sec) + static_cast<double>(boot.tv_nsec) / 1e9 - started_s;
  return std::chrono::steady_clock::now() - from_seconds(age_s > 0 ? age_s : 0);
}

}  // namespace regatta
