#pragma once
// Every wait has a deadline. A thread looks once a second at what the trainer thread waits for; when a wait outlasts
// the deadline it says who did not arrive (rank, host, step, bucket, phase: from the ranks' posts in node-shared
// memory) and calls `on_expiry`, because a thread inside a collective cannot be woken in any other way.

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/time.hpp"

namespace regatta {

class RankContext;

/// Thread rule: `wait_begin`/`wait_end`/`post` on the trainer thread; everything they touch is atomic.
class Watchdog {
 public:
  using OnExpiry = std::function<void(const std::string& message)>;

  /// `deadline` from train.deadline; `auto` starts with 10 s (60 s while starting) and follows `set_deadline`.
  /// `on_expiry` runs on the watchdog's thread, at most once.
  Watchdog(Duration deadline, OnExpiry on_expiry);
  ~Watchdog();

  /// Shares posts with the ranks of this host, so that messages can name who is late. Collective, once, after start.
  void share_posts(RankContext& ranks);
  /// Back to a private post, before the shared memory goes.
  void unshare_posts();
  void set_deadline(Duration deadline);
  Duration deadline() const;

  /// What this rank does now; shown by the other ranks' watchdogs. `bucket` -1: none.
  void post(std::int64_t step, int bucket, const char* phase);
  void wait_begin(const char* what);  ///< `what` must be a literal
  void wait_end();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Covers one wait.
class WatchedWait {
 public:
  WatchedWait(Watchdog& watchdog, const char* what) : watchdog_(watchdog) { watchdog_.wait_begin(what); }
  ~WatchedWait() { watchdog_.wait_end(); }
  WatchedWait(const WatchedWait&) = delete;
  WatchedWait& operator=(const WatchedWait&) = delete;

 private:
  Watchdog& watchdog_;
};

}  // namespace regatta
