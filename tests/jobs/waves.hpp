#pragma once
// Numbers for tests of layers.

#include <ATen/ATen.h>

namespace regatta::test {

/// Deterministic float64 numbers from -1 to 1, without torch's generator.
inline at::Tensor waves(at::IntArrayRef shape, double phase = 0) {
  const at::Tensor values = at::arange(at::empty(shape).numel(), at::kDouble);
  return at::sin(values * 12.9898 + phase).view(shape);
}

}  // namespace regatta::test
