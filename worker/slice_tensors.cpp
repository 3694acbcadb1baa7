#include "worker/slice_tensors.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <map>

#include "common/error.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

Number number_of(at::ScalarType type) {
  REGATTA_ENSURE(type == at::kFloat || type == at::kDouble || type == at::kBFloat16, "float, double or bfloat16");
  if (type == at::kBFloat16) return Number::kBfloat16;
  return type == at::kFloat ? Number::kFloat32 : Number::kFloat64;
}

at::Tensor in_storage_order(const at::Tensor& tensor) {
  REGATTA_ENSURE(tensor.is_non_overlapping_and_dense(), "a tensor without gaps");
  return tensor.as_strided({tensor.numel()}, {1});
}

void expect_separate(const std::vector<Parameter>& parameters) {
  std::map<const void*, const Parameter*> by_memory;
  for (const Parameter& parameter : parameters) {
    const auto [other, is_new] = by_memory.emplace(parameter.tensor.storage().data(), &parameter);
    if (!is_new && parameter.tensor.numel() > 0)
      throw ConfigError(
          fmt::format("{} and {} are one tensor: tied weights are written while backward still needs them, "
                      "so they cannot be exchanged in shared memory\n  Give each layer its own weights.",
                      other->second->name, parameter.name));
  }
}

const SliceKernels& kernels_named(const std::string& name) {
  for (const SliceKernels* const kernels : slice_kernels())
    if (name.empty() || name == kernels->name) return *kernels;
  ensure_failed("kernels that run here", __FILE__, __LINE__, name);
}

std::string kernels_of_all(RankContext& ranks) {
  std::size_t common = slice_kernels().size();  // each list ends alike
  for (const std::string& text : ranks.gather(std::to_string(common)))
    common = std::min(common, static_cast<std::size_t>(std::stoul(text)));
  common = static_cast<std::size_t>(std::stoul(ranks.broadcast(std::to_string(common))));
  return slice_kernels()[slice_kernels().size() - common]->name;
}

}  // namespace regatta
