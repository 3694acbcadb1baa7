#include "worker/clip.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace regatta {

namespace {

constexpr double kNotZero = 1e-6;  // torch's

}  // namespace

double clip_scale(double norm, double limit) {
  return std::min(1.0, limit / (norm + kNotZero));
}

void clip_to_norm(const std::vector<at::Tensor>& gradients, double limit) {
  at::Tensor squares = at::zeros({}, gradients.at(0).options().dtype(at::kDouble));
  for (const at::Tensor& gradient : gradients) squares += at::linalg_vector_norm(gradient).to(at::kDouble).square();
  const at::Tensor scale = at::clamp_max(limit / (squares.sqrt() + kNotZero), 1.0);
  for (const at::Tensor& gradient : gradients) gradient.mul_(scale);
}

}  // namespace regatta
