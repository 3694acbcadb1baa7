#include "worker/tensor_types.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "common/error.hpp"

namespace regatta {

namespace {

constexpr std::array<std::pair<const char*, at::ScalarType>, 5> kTensorTypes = {
    {{"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}, {"I64", at::kLong}}};

}  // namespace

const char* dtype_word(at::ScalarType type) {
  const auto* const found =
      std::find_if(kTensorTypes.begin(), kTensorTypes.end(), [&](const auto& entry) { return entry.second == type; });
  REGATTA_ENSURE(found != kTensorTypes.end(), "weights of an unknown type");
  return found->first;
}

at::ScalarType type_of_dtype(const std::string& dtype) {
  const auto* const found =
      std::find_if(kTensorTypes.begin(), kTensorTypes.end(), [&](const auto& entry) { return dtype == entry.first; });
  REGATTA_ENSURE(found != kTensorTypes.end(), "a type that read_safetensors() refuses");
  return found->second;
}

}  // namespace regatta
