#pragma once
// Crop, flip and normalisation on the device, as tensor operations: what a model takes, of the bytes of a raw batch.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "jobs/plan.hpp"
#include "worker/device.hpp"

namespace regatta {

/// Its tensors lie in the device's memory, are made once and used again: a step allocates nothing, and finds its batch
/// where the one before found its own. Trainer thread; `device` outlives it.
class DeviceTransform {
 public:
  /// Room for `capacity` samples of the split, which says whether they are augmented.
  DeviceTransform(const Plan& plan, Split split, std::int64_t capacity, Device& device);

  /// Where a raw batch is copied to, from the front; as many as asked for, of any content.
  at::Tensor make_bytes() const;    // (capacity * sample_bytes + C) uint8
  at::Tensor make_numbers() const;  // (kRawNumbers * capacity) int64; none for text

  /// On the compute stream: the first `count` of `inputs()` and `targets()` become the batch, with the numbers of
  /// BatchBuffer, to the bit (on a device that rounds products and sums as IEEE 754 says, as CUDA does). `bytes` and
  /// `numbers` are a RawBatch's of `count` samples, in tensors made above.
  void launch(const at::Tensor& bytes, const at::Tensor& numbers, std::int64_t count);

  const at::Tensor& inputs() const;   // (capacity, C, H, W) float32 channels_last, or float64; text (capacity, length)
  const at::Tensor& targets() const;  // (capacity) int64; text (capacity, length)

 private:
  struct Tensors;
  Device& device_;
  std::shared_ptr<const Tensors> tensors_;  // shared with what is launched
};

}  // namespace regatta
