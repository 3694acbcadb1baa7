#pragma once
// The order of samples: position p of epoch e holds sample perm(seed, e, p), a keyed bijection on [0, n) that any rank
// computes in O(1) without memory or messages, so that the sequence of global batches does not depend on the ranks.

#include <array>
#include <cstdint>

namespace regatta {

/// A Feistel network over the smallest even-bit domain that holds n, cycle-walking back into [0, n)
/// (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002). Immutable; any thread.
class SampleOrder {
 public:
  /// `count` >= 1; `epoch` counts from 1.
  SampleOrder(std::int64_t count, std::uint64_t seed, std::int64_t epoch);

  /// The sample at `position`; both in [0, count).
  std::int64_t operator()(std::int64_t position) const;
  std::int64_t count() const { return count_; }

 private:
  /// Four suffice for pseudo-randomness (Luby and Rackoff, SIAM J. Comput. 17, 1988); two more for small domains.
  static constexpr int kRounds = 6;
  std::int64_t count_;
  int half_bits_;
  std::array<std::uint64_t, kRounds> keys_;
};

}  // namespace regatta
