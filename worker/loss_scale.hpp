#pragma once
// Dynamic loss scaling for gradients in float16 (Micikevicius et al., ICLR 2018, section 3.2; the rule and its numbers
// are torch.amp.GradScaler's).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace regatta {

struct LossScaleRule {
  double start = 65536;
  double growth = 2, backoff = 0.5;
  std::int64_t growth_steps = 2000;  ///< good ones in a row before it grows
  std::int64_t most_skips = 20;      ///< in a row: by then the scale is below 1, and it is not the scale
};

/// Everything it decides by and with lies beside the weights, so that no step waits for it on the host; each number is
/// the same on every rank, as long as the gradients are. What is launched shares it.
class LossScale {
 public:
  explicit LossScale(c10::Device device, const LossScaleRule& rule = {});

  /// What backward starts from, instead of 1, for a loss that is a sum over samples: the scale for their mean.
  at::Tensor loss_gradient(std::int64_t global_samples) const;  // () float32

  /// Takes gradients that are summed over all ranks, with `loss_gradient` in them, and leaves their mean; sets
  /// `overflow` by whether all are finite, then the scale of the next step. In stream order between backward and the
  /// optimizer.
  void settle(const std::vector<at::Tensor>& gradients);

  const at::Tensor& scale() const { return scale_; }        // () float32
  const at::Tensor& overflow() const { return overflow_; }  // () float32: 1 where this step is to be skipped, else 0
  const at::Tensor& skips() const { return skips_; }        // () float64: steps in a row that were
  std::int64_t most_skips() const { return rule_.most_skips; }

 private:
  LossScaleRule rule_;
  at::Tensor scale_, overflow_, good_steps_, skips_;  // good_steps: () int32, since the scale last changed
};

}  // namespace regatta
