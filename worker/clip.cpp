#include "worker/clip.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace regatta {

void clip_to_norm(const std::vector<at::Tensor>& gradients, double limit) {
  constexpr double kNotZero = 1e-6;  // torch's
  double squares = 0;
  for (const at::Tensor& gradient : gradients) {
    const double norm = at::linalg_vector_norm(gradient).item<double>();
    squares += norm * norm;
  }
  const double scale = std::min(1.0, limit / (std::sqrt(squares) + kNotZero));
  for (const at::Tensor& gradient : gradients) gradient.mul_(scale);
}

}  // namespace regatta
