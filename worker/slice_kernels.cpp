#include "worker/slice_kernels.hpp"

#include <immintrin.h>

#include <cmath>
#include <vector>

namespace regatta {

extern const SliceKernels kAvx512SliceKernels, kAvx2SliceKernels, kPlainSliceKernels;  // a file each

std::size_t bytes_of(Number number) {
  if (number == Number::kFloat64) return 8;
  return number == Number::kFloat32 ? 4 : 2;
}

StepRule step_rule(const OptimizerSpec& spec, double learning_rate, std::int64_t step) {
  using Kind = StepRule::Kind;
  if (spec.kind == OptimizerKind::kSgd) {
    const Kind with_momentum = spec.nesterov ? Kind::kNesterov : Kind::kMomentum;
    return {.kind = spec.momentum == 0 ? Kind::kSgd : with_momentum,
            .rate = learning_rate,
            .decay = spec.weight_decay,
            .momentum = spec.momentum};
  }
  const auto t = static_cast<double>(step);
  StepRule rule{.kind = Kind::kAdam,
                .rate = learning_rate / (1 - std::pow(spec.betas[0], t)),
                .b1 = spec.betas[0],
                .b2 = spec.betas[1],
                .root_scale = 1 / std::sqrt(1 - std::pow(spec.betas[1], t)),
                .eps = spec.eps};
  if (spec.kind == OptimizerKind::kAdam)
    rule.decay = spec.weight_decay;
  else
    rule.keep = 1 - learning_rate * spec.weight_decay;
  return rule;
}

std::span<const SliceKernels* const> slice_kernels() {
  static const std::vector<const SliceKernels*> found = [] {
    std::vector<const SliceKernels*> kernels;
    const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
    if (avx2 && __builtin_cpu_supports("avx512f") != 0) kernels.push_back(&kAvx512SliceKernels);
    if (avx2) kernels.push_back(&kAvx2SliceKernels);
    kernels.push_back(&kPlainSliceKernels);
    return kernels;
  }();
  return found;
}

void streams_done() {
  _mm_sfence();
}

}  // namespace regatta
