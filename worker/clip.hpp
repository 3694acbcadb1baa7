#pragma once
// Gradient clipping by the norm of the whole (Pascanu et al., ICML 2013), as torch.nn.utils.clip_grad_norm_ does it.

#include <ATen/core/Tensor.h>

#include <vector>

namespace regatta {

/// min(1, limit / (norm + 1e-6)): what a gradient of this norm is multiplied with.
double clip_scale(double norm, double limit);

/// Scales `gradients` (one at least) in place by clip_scale, norm over all elements of all of them. On every rank with
/// the same values the result has the same bits. The norm stays where the gradients are: nobody waits for a device.
void clip_to_norm(const std::vector<at::Tensor>& gradients, double limit);

}  // namespace regatta
