#include "worker/loss_scale.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace regatta {

LossScale::LossScale(c10::Device device, const LossScaleRule& rule)
    : rule_(rule),
      scale_(at::full({}, rule.start, at::TensorOptions(at::kFloat).device(device))),
      overflow_(at::zeros({}, at::TensorOptions(at::kFloat).device(device))),
      good_steps_(at::zeros({}, at::TensorOptions(at::kInt).device(device))),
      skips_(at::zeros({}, at::TensorOptions(at::kDouble).device(device))) {}

at::Tensor LossScale::loss_gradient(std::int64_t global_samples) const {
  const c10::NoGradGuard no_grad;
  return scale_ / global_samples;
}

void LossScale::settle(const std::vector<at::Tensor>& gradients) {
  const c10::NoGradGuard no_grad;
  overflow_.zero_();
  at::_amp_foreach_non_finite_check_and_unscale_(gradients, overflow_, scale_.reciprocal());
  at::_amp_update_scale_(scale_, good_steps_, overflow_, rule_.growth, rule_.backoff, rule_.growth_steps);
  skips_.add_(1).mul_(overflow_);
}

}  // namespace regatta
