#pragma once
// What each rank of a host says about itself, in memory that the others read: all atomics, no lock, so that a rank that
// is stuck or dead hinders nobody. A reader may see two halves of two posts; a late rank stands still while it is read.

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

namespace regatta {

/// A short name across processes: 24 characters, the rest is cut.
class PostedName {
 public:
  void set(const char* text);
  std::string text() const;

 private:
  std::array<std::atomic<std::uint64_t>, 3> words_{};
};

/// Without a sign of its watchdog for so long (nanoseconds; three of its looks), a rank's process stands still.
inline constexpr std::int64_t kStandsStill = 3'000'000'000;

/// One rank's post. Times are steady_clock nanoseconds, which all processes of a host share.
struct Post {
  std::atomic<std::int64_t> pid{0}, step{0}, posted_at{0};
  std::atomic<std::int32_t> rank{0}, bucket{-1};
  std::atomic<std::int64_t> waits{0};          ///< begun so far: ranks meet in the same waits in the same order
  std::atomic<std::int64_t> waiting_since{0};  ///< 0: does not wait
  std::atomic<std::int64_t> alive_at{0};       ///< by its watchdog, once a second, also while the trainer waits
  PostedName phase, wait;

  /// Everything but the rank and the process.
  void copy_state(const Post& from);
  /// "step 12, bucket 3, exchange, for 1.2 s".
  std::string state(std::int64_t now) const;
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free, "posts are read across processes");

/// Names the ranks that have not come to the wait that `mine` waits in, and those that came and no longer run (a
/// stopped process, a host that swaps). `posts`: of this host, one a rank.
std::string late_ranks(const Post* posts, int count, const Post& mine, const std::string& host, std::int64_t now);

}  // namespace regatta
