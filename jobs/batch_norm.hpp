#pragma once
// Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) as nn.BatchNorm2d's defaults have it, over one rank's part
// of a batch or over all ranks'.

#include <ATen/core/Tensor.h>

#include <string>

#include "jobs/models.hpp"

namespace regatta {

/// Shares its tensors with the model's lists. Trainer thread only.
class BatchNormLayer {
 public:
  /// `name`: "stem.1"
  BatchNormLayer(const ModelTensors& tensors, const std::string& name);

  /// (B, C, H, W) to the same. In training the statistics are those of the batch, and the running ones move by a tenth
  /// of the way (with the unbiased variance): over this rank's samples, or with `sum` over all ranks', which is a
  /// collective in forward and in backward and wants a call for 0 samples too. Then `sum` must outlive the backward.
  at::Tensor forward(const at::Tensor& x, bool training, const SumOverRanks& sum) const;

 private:
  at::Tensor alone(const at::Tensor& x) const;
  at::Tensor with_all_ranks(const at::Tensor& x, const SumOverRanks& sum) const;

  at::Tensor weight_, bias_;                         // (C)
  at::Tensor running_mean_, running_var_, batches_;  // (C), (C), int64
};

}  // namespace regatta
