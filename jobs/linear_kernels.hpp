#pragma once
// Which library multiplies for a linear layer: a choice made by measurement, kept as a value, so that every rank and
// every replay of a plan computes the same bits.

#include <cstdint>
#include <vector>

#include "common/json.hpp"
#include "jobs/dataset_index.hpp"
#include "jobs/spec.hpp"

namespace regatta {

/// The three products of a layer from `inputs` to `outputs` numbers. True: oneDNN; false: ATen's own, which is MKL in
/// fp32 and fp64.
struct LinearKernel {
  std::int64_t inputs = 0, outputs = 0;
  bool forward = false, input_gradient = false, weight_gradient = false;
  bool operator==(const LinearKernel&) const = default;
};

/// Shapes that it does not list are ATen's.
using LinearKernels = std::vector<LinearKernel>;

LinearKernel kernel_of(const LinearKernels& kernels, std::int64_t inputs, std::int64_t outputs);

/// The shapes of a model's linear layers, each once, with nothing chosen. Requires a model that fits the data.
LinearKernels linear_shapes(const ModelSpec& model, const DatasetIndex& data);

/// [{"inputs": 784, "outputs": 1024, "onednn": ["forward", "input_gradient", "weight_gradient"]}, ...]
Json to_json(const LinearKernels&);
/// Throws IoError naming the key.
LinearKernels linear_kernels_from_json(const Json&);

}  // namespace regatta
