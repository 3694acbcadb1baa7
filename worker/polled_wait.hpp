#pragma once
// A wait that nobody has to be woken from: it looks again and again, and ends itself at the deadline.

#include <chrono>
#include <functional>
#include <thread>

#include "common/error.hpp"
#include "worker/watchdog.hpp"

namespace regatta {

/// Returns once `done()`. When the wait that `watchdog` knows of (WatchedWait, kPolling) is overdue, throws CommError
/// with kDeadline in the watchdog's words.
template <class Done>
void poll_until(Watchdog& watchdog, const Done& done) {
  // A waiter that only yields keeps no core from those who want one, and sees the end within a microsecond; one that
  // waits for long sleeps.
  constexpr auto kYieldFor = std::chrono::milliseconds(20);
  constexpr auto kNap = std::chrono::microseconds(100);
  const auto start = std::chrono::steady_clock::now();
  while (!done()) {
    if (const auto message = watchdog.overdue()) throw CommError(*message, ExitCode::kDeadline);
    if (std::chrono::steady_clock::now() - start < kYieldFor)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(kNap);
  }
}

/// The same for who does not know the watchdog: returns once `done()`; throws when that lasts longer than the deadline.
/// The worker's: what waits for other ranks is under its watchdog, and counted on every rank alike.
using PollUntil = std::function<void(const char* what, const std::function<bool()>& done)>;

}  // namespace regatta
