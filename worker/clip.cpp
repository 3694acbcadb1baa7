#include "worker/clip.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace regatta {

double clip_scale(double norm, double limit) {
  constexpr double kNotZero = 1e-6;  // torch's
  return std::min(1.0, limit / (norm + kNotZero));
}

void clip_to_norm(const std::vector<at::Tensor>& gradients, double limit) {
  double squares = 0;
  for (const at::Tensor& gradient : gradients) {
    const double norm = at::linalg_vector_norm(gradient).item<double>();
    squares += norm * norm;
  }
  const double scale = clip_scale(std::sqrt(squares), limit);
  for (const at::Tensor& gradient : gradients) gradient.mul_(scale);
}

}  // namespace regatta
