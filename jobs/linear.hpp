#pragma once
// A linear layer whose products go to the faster of two libraries, and which of them that is.

#include <ATen/core/Tensor.h>

#include <string>

#include "jobs/linear_kernels.hpp"
#include "jobs/models.hpp"

namespace regatta {

/// x W^T + b, then ReLU when asked for. Shares its tensors with the model's lists; weights may be float32, float64 or
/// bfloat16, of the type of the inputs unless autocast is on, and views of foreign memory. Trainer thread only.
class LinearLayer {
 public:
  /// `name`: "fc"
  LinearLayer(const ModelTensors& tensors, const std::string& name, const LinearKernels& kernels, bool relu = false);

  /// (M, inputs) to (M, outputs), M = 0 too. Gradients are dense and row-major, as the parameters.
  at::Tensor forward(const at::Tensor& x, GradientOrder order = GradientOrder::kInputs) const;

 private:
  at::Tensor weight_, bias_;  // (outputs, inputs), (outputs)
  LinearKernel kernel_;
  bool relu_;
};

/// Times both libraries for the model's shapes at `samples` samples, with torch's present number of threads, on the
/// calling thread: up to 0.15 s. Only for fp32: in fp64 oneDNN has nothing, and in bf16 ATen is oneDNN already.
LinearKernels measure_linear_kernels(const ModelSpec& model, const DatasetIndex& data, std::int64_t samples,
                                     Precision precision);

}  // namespace regatta
