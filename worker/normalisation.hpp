#pragma once
// Bytes to normalised numbers, by channel. Torch-free.

#include <cstdint>
#include <span>
#include <vector>

#include "jobs/dataset_index.hpp"

namespace regatta {

/// What makes floats of bytes. The numbers are the same to the bit.
enum class NormalisationKernel { kTable, kAvx2 };
bool runs_here(NormalisationKernel kernel);
NormalisationKernel fastest_kernel();

/// (x / 255 - mean) / deviation, mean and deviation by channel. Immutable; any thread.
class Normalisation {
 public:
  /// Does nothing for text.
  explicit Normalisation(const DatasetIndex& index, NormalisationKernel kernel = fastest_kernel());

  /// `count` values from channel 0 on, (..., C) in and out. In float, as x * scale + shift with both results rounded:
  /// within 5e-7 of the exact number for deviations of 0.1 and more.
  void apply(const std::uint8_t* from, std::int64_t count, float* to) const;
  /// In double, as the formula above. Channel c of pixel i goes to to[c * plane + i].
  void apply_planar(const std::uint8_t* from, std::int64_t pixels, std::int64_t plane, double* to) const;

  /// By channel: what `apply` multiplies by, and what it adds.
  std::span<const float> scale() const { return {scale_.data(), static_cast<std::size_t>(channels_)}; }
  std::span<const float> shift() const { return {shift_.data(), static_cast<std::size_t>(channels_)}; }

 private:
  NormalisationKernel kernel_;
  std::int64_t channels_;
  std::vector<float> scale_, shift_;  // (16 pixels, C), so that 16 values from anywhere need no modulo
  std::vector<float> single_;         // (C, 256)
  std::vector<double> double_;        // (C, 256)
};

}  // namespace regatta
