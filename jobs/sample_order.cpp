#include "jobs/sample_order.hpp"

#include "common/error.hpp"
#include "common/splitmix.hpp"

namespace regatta {

// A position is split into two halves of half_bits_ each. A round replaces (left, right) by (right, left ^ F(right)),
// which can be undone whatever F is, so the network permutes the whole domain [0, 4^half_bits_). A result outside
// [0, n) is fed in again: the walk stays on one cycle of the permutation, which holds its own start in [0, n); so it
// ends, and two starts never end at one place. The domain is under 4n (4 for n = 1): at most four passes are expected.
//
// Resuming a run and equality between ranks need this order to stay as it is, bit for bit: a test pins it.

SampleOrder::SampleOrder(std::int64_t count, std::uint64_t seed, std::int64_t epoch) : count_(count), half_bits_(1) {
  REGATTA_ENSURE(count >= 1, "an order needs at least one sample");
  while (half_bits_ < 31 && (std::int64_t{1} << (2 * half_bits_)) < count) ++half_bits_;
  REGATTA_ENSURE(count <= std::int64_t{1} << (2 * half_bits_), "more samples than 2^62");
  // Seed and epoch pass through mix64() one after the other, so that (seed 1, epoch 2) and (seed 2, epoch 1) differ.
  const std::uint64_t key = mix64(mix64(seed + kGoldenStride) + static_cast<std::uint64_t>(epoch) * kGoldenStride);
  for (std::size_t round = 0; round < keys_.size(); ++round) keys_[round] = mix64(key + (round + 1) * kGoldenStride);
}

std::int64_t SampleOrder::operator()(std::int64_t position) const {
  REGATTA_ENSURE(position >= 0 && position < count_, "a position outside the epoch");
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  auto value = static_cast<std::uint64_t>(position);
  do {
    std::uint64_t left = value >> half_bits_, right = value & mask;
    for (const std::uint64_t key : keys_) {
      const std::uint64_t next = left ^ (mix64(right + key) & mask);
      left = right;
      right = next;
    }
    value = left << half_bits_ | right;
  } while (value >= static_cast<std::uint64_t>(count_));
  return static_cast<std::int64_t>(value);
}

}  // namespace regatta
