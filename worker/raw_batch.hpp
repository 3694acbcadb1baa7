#pragma once
// One batch as it was decoded, in host memory that a device copies from: what is cropped, mirrored and normalised on
// the device crosses the bus as bytes, a quarter of their floats.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "jobs/plan.hpp"
#include "worker/batch_parts.hpp"
#include "worker/device.hpp"
#include "worker/input_transform.hpp"
#include "worker/sample_source.hpp"

namespace regatta {

/// What stands beside the bytes of an image: its label, and its draw as a row of either table of device_transform.cpp.
enum class RawNumber {
  kLabel,
  kDown,   ///< from -most_down() counted
  kRight,  ///< from -most_right() counted, doubled; one more where it is mirrored
};
inline constexpr std::int64_t kRawNumbers = 3;

/// Owned by one source; one thread at a time. Its memory is a device's, which outlives it, and is used again.
class RawBatch {
 public:
  /// Room for `capacity` samples. Trainer thread.
  RawBatch(const Plan& plan, std::int64_t capacity, Device& device);

  /// Makes this hold `content`, at most `capacity` samples: gathered, with their labels and what augmentation draws for
  /// them. Throws what the source throws; the batch is then unspecified. No copy of it may be in flight.
  void fill(SampleSource& source, InputTransform& transform, const BatchContent& content);

  const BatchContent& content() const { return content_; }
  std::int64_t count() const { return static_cast<std::int64_t>(content_.samples.size()); }
  at::Tensor bytes() const;    // (B * sample_bytes) uint8
  at::Tensor numbers() const;  // (kRawNumbers * B) int64, those of one kind after the other; text has none

 private:
  bool text_;
  std::int64_t capacity_, sample_bytes_;
  at::Tensor bytes_, numbers_;  // of `capacity` samples
  BatchContent content_;
};

}  // namespace regatta
