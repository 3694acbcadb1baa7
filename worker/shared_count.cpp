// A sleeper says so before it looks at the value for the last time, and whoever raises the value looks for sleepers
// after it: with sequentially consistent accesses one of them sees the other (Dekker). The kernel compares once more.

#include "worker/shared_count.hpp"

#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

namespace regatta {

namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

// Not FUTEX_PRIVATE: the other side is another process.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
  return ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr, 0);
}

void sleep_until(SharedCount& count, std::uint32_t value) {
  constexpr timespec kLook{.tv_sec = 1, .tv_nsec = 0};  // a waker that died between its two stores woke nobody
  count.sleepers.fetch_add(1);
  for (;;) {
    const std::uint32_t seen = count.value.load();
    if (static_cast<std::int32_t>(seen - value) >= 0) break;
    futex(count.value, FUTEX_WAIT, seen, &kLook);
  }
  count.sleepers.fetch_sub(1);
}

}  // namespace

void raise_to(SharedCount& count, std::uint32_t value) {
  count.value.store(value);
  if (count.sleepers.load() > 0) futex(count.value, FUTEX_WAKE, INT_MAX, nullptr);
}

WaitPolicy wait_policy(int local_ranks, int cores) {
  // Ranks of one step arrive within tens of microseconds of each other; waking a sleeper takes 50 us here.
  return {.spin = local_ranks > cores ? 0us : 100us, .yield = 2ms};
}

Duration wait_until(SharedCount& count, std::uint32_t value, const WaitPolicy& policy) {
  if (has_reached(count, value)) return {};
  constexpr int kPausesALook = 32;
  const auto start = steady_clock::now();
  for (auto waited = Duration{}; !has_reached(count, value); waited = steady_clock::now() - start) {
    if (waited < policy.spin)
      for (int i = 0; i < kPausesALook && !has_reached(count, value); ++i) _mm_pause();
    else if (waited < policy.spin + policy.yield)
      ::sched_yield();
    else
      sleep_until(count, value);
  }
  return steady_clock::now() - start;
}

}  // namespace regatta
