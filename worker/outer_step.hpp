#pragma once
// What nodes do with their weights when they meet after some steps of their own (DiLoCo: Douillard et al., arXiv
// 2311.08105, algorithm 1): the average of how far they have come is the gradient of an outer step.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "jobs/spec.hpp"
#include "worker/slice_kernels.hpp"

namespace regatta {

/// Of the slices that one rank owns, as they lie one after the other; `state` is a place there. Trainer thread only.
class OuterStep {
 public:
  /// `like`: a tensor of the weights' type; `elements`: of all slices.
  OuterStep(const OuterSpec& spec, const at::Tensor& like, std::int64_t elements);

  /// Where training begins.
  void start_from(std::int64_t state, const at::Tensor& weights);
  /// How far this node has come since nodes met, times its `part` of the samples: summed over nodes it is the outer
  /// gradient. Valid until the next call for the same place.
  const std::byte* distance(std::int64_t state, const at::Tensor& weights, double part);
  /// Takes the step with what adds up to the gradient, and writes the weights into each of `weights`.
  void take(std::int64_t state, std::int64_t count, std::span<const std::byte* const> gradients, Number number,
            std::span<std::byte* const> weights, const SliceKernels& kernels);

 private:
  StepRule rule_;
  at::Tensor met_, momentum_, distance_;  // (elements) of the weights' type; weights as nodes last met
};

}  // namespace regatta
