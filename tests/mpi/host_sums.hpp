#pragma once
// Sums over ranks for late_device.hpp: through memory that the ranks of this host share, so that a thread beside the
// trainer's may call them (MPI is the trainer thread's alone), and may give up.

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "worker/rank_context.hpp"

namespace regatta::test {

/// Sums are numbered from 0, the same on every rank; a rank begins one when it has finished the one before.
class HostSums {
 public:
  static constexpr std::size_t kMostBytes = 1 << 18;  // of one sum

  /// Collective, as `restart`: all ranks on one host. The shared memory lives as long as the context.
  explicit HostSums(RankContext& ranks);
  /// From number 0 again, also after ranks gave up in the middle.
  void restart();

  /// Hands in this rank's part, at `time` by a clock that all ranks began at 0. float64, float32 or bfloat16,
  /// contiguous.
  void begin(std::int64_t number, const at::Tensor& part, double time);
  /// Nothing until all ranks have begun it. Then the sum, the same bits on every rank; bfloat16 is added up in float32
  /// and rounded once, where NCCL rounds at each hop. Returns when the last rank had begun.
  std::optional<double> finish(std::int64_t number, const at::Tensor& sum) const;

 private:
  struct Rank;
  RankContext& context_;
  Rank* ranks_ = nullptr;
};

}  // namespace regatta::test
