#pragma once
// Where a rank's batches come from. The trainer sees only this interface.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace regatta {

/// This rank's part of one global batch. May hold 0 samples.
struct Batch {
  at::Tensor inputs;                  // (B, C, H, W) float32 or float64, normalised; text (B, length) int64
  at::Tensor targets;                 // (B) int64; text (B, length)
  std::vector<std::int64_t> parts;    // samples of each of train.accumulate micro-batches, in order; they sum to B
  std::vector<std::int64_t> samples;  // (B) indices into the training set, as delivered
  std::int64_t global_samples = 0;    // over all ranks
};

/// Owned by the trainer's caller; `start_epoch` and `next` on the trainer thread.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual std::int64_t batches_per_epoch() const = 0;
  /// Starts producing epoch `epoch` (from 1), ahead of demand.
  virtual void start_epoch(int epoch) = 0;
  /// Every batch from the next one on is divided by these weights, one a rank; those made ahead by others are made
  /// anew. Before the first call: the plan's. The batch that `next` returned last stays valid.
  virtual void set_shares(std::span<const std::int64_t> weights) = 0;
  /// Batch 0, 1, ... of the epoch; blocks until it is ready. Its tensors stay valid until the next call.
  /// Rethrows what the producer threw (DataError).
  virtual const Batch& next() = 0;
};

/// This rank's contiguous part of the test set, in batches; not shuffled. Trainer thread.
class EvaluationSource {
 public:
  virtual ~EvaluationSource() = default;
  virtual std::int64_t batches() const = 0;
  virtual void set_shares(std::span<const std::int64_t> weights) = 0;  ///< one a rank; before the first call the plan's
  virtual const Batch& batch(std::int64_t index) = 0;                  ///< `samples` are indices into the test set
};

}  // namespace regatta
