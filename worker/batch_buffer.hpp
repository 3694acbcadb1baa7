#pragma once
// One batch in memory that is used again: samples are gathered, augmented and normalised into it in one pass.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "jobs/plan.hpp"
#include "worker/batch_parts.hpp"
#include "worker/batch_source.hpp"
#include "worker/input_transform.hpp"
#include "worker/sample_source.hpp"

namespace regatta {

/// Owned by one source; one thread at a time.
class BatchBuffer {
 public:
  /// Room for `capacity` samples in the precision of the plan: fp64, else fp32. Aligned to 64 bytes.
  BatchBuffer(const Plan& plan, std::int64_t capacity);

  /// Makes `batch()` hold `content`, at most `capacity` samples. Throws what the source throws; the batch is then
  /// unspecified.
  void fill(SampleSource& source, InputTransform& transform, const BatchContent& content);
  const Batch& batch() const { return batch_; }
  std::int64_t capacity() const { return targets_.size(0); }

 private:
  void write_image(const std::uint8_t* image, InputTransform& transform, const Draw& draw, float* to) const;
  void write_image(const std::uint8_t* image, InputTransform& transform, const Draw& draw, double* to) const;

  bool text_;
  std::int64_t channels_, height_, width_;  // text: 1, 1, length
  at::Tensor inputs_;   // (capacity, C, H, W) float32 channels_last or float64; text (capacity, length)
  at::Tensor targets_;  // (capacity) int64; text (capacity, length)
  Batch batch_;         // its tensors are views of the two above
};

}  // namespace regatta
