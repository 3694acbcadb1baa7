#pragma once
// How the ranks of a host wait for each other without MPI: counts in node-shared memory. Torch-free.

#include <atomic>
#include <cstdint>

#include "common/time.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// Raised by one rank, waited for by any. Counts wrap around: what is compared is never 2^31 apart.
struct alignas(kCacheLine) SharedCount {
  std::atomic<std::uint32_t> value{0};
  std::atomic<std::uint32_t> sleepers{0};
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "counts are read across processes");

/// What the caller wrote before is seen by whoever sees the new value (streamed stores: after streams_done()).
void raise_to(SharedCount& count, std::uint32_t value);

inline bool has_reached(const SharedCount& count, std::uint32_t value) {
  return static_cast<std::int32_t>(count.value.load(std::memory_order_acquire) - value) >= 0;
}

/// A wait first spins, then gives its core to whoever wants it, then sleeps in the kernel.
struct WaitPolicy {
  Duration spin, yield;  ///< how long each of the first two lasts
};
/// Nobody spins where ranks outnumber cores: the one that is waited for may need this core.
WaitPolicy wait_policy(int local_ranks, int cores);

/// Returns once `count` has reached `value`, and how long that took. Without a deadline of its own: waits are covered
/// by the watchdog's.
Duration wait_until(SharedCount& count, std::uint32_t value, const WaitPolicy& policy);

}  // namespace regatta
