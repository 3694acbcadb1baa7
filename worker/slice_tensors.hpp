#pragma once
// Tensors as the slice kernels see them: numbers, in the order in which they lie.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "worker/exchanger.hpp"
#include "worker/node_layout.hpp"
#include "worker/slice_kernels.hpp"

namespace regatta {

Number number_of(at::ScalarType type);  ///< float, double or bfloat16

/// The elements in the order in which they lie: (n). Requires a tensor without gaps.
at::Tensor in_storage_order(const at::Tensor& tensor);

/// Throws ConfigError for parameters that share memory.
void expect_separate(const std::vector<Parameter>& parameters);

/// Empty: the fastest.
const SliceKernels& kernels_named(const std::string& name);
/// The fastest that run on every host: weights are written on each of them, and must be the same to the bit.
/// Collective.
std::string kernels_of_all(RankContext& ranks);

/// `body(begin, end)` over [0, count) in torch's threads, cut at cache lines.
template <class Body>
void in_threads(std::int64_t count, const Body& body) {
  constexpr std::int64_t kWorthAThread = 1 << 16;
  if (at::get_num_threads() == 1 || count < 2 * kWorthAThread) return body(0, count);
  at::parallel_for(
      0, (count + kSliceGrain - 1) / kSliceGrain, kWorthAThread / kSliceGrain,
      [&](std::int64_t begin, std::int64_t end) { body(begin * kSliceGrain, std::min(end * kSliceGrain, count)); });
}

}  // namespace regatta
