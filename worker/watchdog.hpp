#pragma once
// Every wait has a deadline. A thread looks once a second at what the trainer thread waits for; when a wait outlasts
// the deadline it says who did not arrive (rank, host, step, bucket, phase: from the ranks' posts in node-shared
// memory, and from what the other hosts say of theirs, post_link.hpp) and calls `on_expiry`, because a thread inside a
// collective cannot be woken in any other way.

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/host.hpp"
#include "common/time.hpp"

namespace regatta {

class RankContext;

/// Who notices that a wait has outlasted the deadline.
enum class WaitKind {
  kBlocking,  ///< the watchdog's thread: the trainer thread stands in a collective
  kPolling,   ///< whoever waits, by `overdue`; the thread only when that has not ended the wait a while later
};

/// Thread rule: `wait_begin`/`wait_end`/`post`/`overdue` on the trainer thread; everything they touch is atomic. (A
/// GPU's backward calls them on autograd's thread while the trainer thread waits for it.)
class Watchdog {
 public:
  using OnExpiry = std::function<void(const std::string& message)>;

  /// `deadline` from train.deadline; `auto` starts with 10 s (60 s while starting) and follows `set_deadline`.
  /// `on_expiry` runs on the watchdog's thread, at most once.
  /// `host`: this one's name; a test may pretend several.
  Watchdog(Duration deadline, OnExpiry on_expiry, std::string host = host_name());
  ~Watchdog();

  /// Shares posts with the ranks of this host, and those of hosts with each other, so that messages can name who is
  /// late. Collective, once, after start. Returns why hosts cannot tell each other; empty: they can, or there is one.
  std::string share_posts(RankContext& ranks);
  /// Back to a private post, before the shared memory goes; this host falls silent.
  void unshare_posts();
  void set_deadline(Duration deadline);
  Duration deadline() const;

  /// What this rank does now; shown by the other ranks' watchdogs. `bucket` -1: none.
  void post(std::int64_t step, int bucket, const char* phase);
  void wait_begin(const char* what, WaitKind kind = WaitKind::kBlocking);  ///< `what` must be a literal
  void wait_end();
  /// Inside a wait: what to say about it once it has outlasted the deadline and it is this rank's turn to speak.
  std::optional<std::string> overdue();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Covers one wait.
class WatchedWait {
 public:
  WatchedWait(Watchdog& watchdog, const char* what, WaitKind kind = WaitKind::kBlocking) : watchdog_(watchdog) {
    watchdog_.wait_begin(what, kind);
  }
  ~WatchedWait() { watchdog_.wait_end(); }
  WatchedWait(const WatchedWait&) = delete;
  WatchedWait& operator=(const WatchedWait&) = delete;

 private:
  Watchdog& watchdog_;
};

}  // namespace regatta
