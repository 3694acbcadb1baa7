#pragma once
// How a tensor's elements lie, where kernels walk raw memory.

#include <ATen/core/Tensor.h>

namespace regatta {

/// Both of one shape. The stride of a dimension of size 1 says nothing: oneDNN writes (8, 1, 5, 5) as channels last,
/// where the parameter is plain.
inline bool same_layout(const at::Tensor& a, const at::Tensor& b) {
  for (std::int64_t d = 0; d < a.dim(); ++d)
    if (a.size(d) != 1 && a.stride(d) != b.stride(d)) return false;
  return true;
}

}  // namespace regatta
