#pragma once
// Numbers of one floating type as another, without torch: for `regatta export`.

#include <string>
#include <vector>

#include "jobs/safetensors.hpp"

namespace regatta {

/// The types that a tensor may be cast to, as safetensors writes them: F64, F32, F16, BF16.
bool is_floating(const std::string& dtype);

/// The elements of `tensor`, a floating one, as `dtype`: rounded to nearest, ties to even; what is too large is
/// infinite. One rounding only, also from F64 to F16.
std::vector<std::byte> cast_elements(const TensorView& tensor, const std::string& dtype);

}  // namespace regatta
