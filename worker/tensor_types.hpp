#pragma once
// What a safetensors file calls the types of a model's tensors.

#include <ATen/core/Tensor.h>

#include <string>

namespace regatta {

/// "F32". Requires a type that the container has.
const char* dtype_word(at::ScalarType type);
/// Requires one of read_safetensors()'s words.
at::ScalarType type_of_dtype(const std::string& dtype);

}  // namespace regatta
