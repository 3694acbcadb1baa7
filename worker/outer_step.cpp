#include "worker/outer_step.hpp"

#include <ATen/ATen.h>

#include <vector>

#include "worker/slice_tensors.hpp"

namespace regatta {
namespace {

StepRule rule_of(const OuterSpec& spec) {
  using Kind = StepRule::Kind;
  const Kind with_momentum = spec.nesterov ? Kind::kNesterov : Kind::kMomentum;
  return {.kind = spec.momentum == 0 ? Kind::kSgd : with_momentum, .rate = spec.lr, .momentum = spec.momentum};
}

std::byte* at_element(const at::Tensor& tensor, std::int64_t element) {
  if (!tensor.defined()) return nullptr;
  return static_cast<std::byte*>(tensor.mutable_data_ptr()) +
         element * static_cast<std::int64_t>(tensor.element_size());
}

}  // namespace

OuterStep::OuterStep(const OuterSpec& spec, const at::Tensor& like, std::int64_t elements) : rule_(rule_of(spec)) {
  const at::TensorOptions options = like.options().requires_grad(false);
  met_ = at::zeros({elements}, options);
  distance_ = at::zeros({elements}, options);
  if (rule_.has_momentum()) momentum_ = at::zeros({elements}, options);
}

void OuterStep::start_from(std::int64_t state, const at::Tensor& weights) {
  met_.narrow(0, state, weights.numel()).copy_(weights);
}

const std::byte* OuterStep::distance(std::int64_t state, const at::Tensor& weights, double part) {
  at::Tensor distance = distance_.narrow(0, state, weights.numel());
  at::sub_out(distance, met_.narrow(0, state, weights.numel()), weights).mul_(part);
  return at_element(distance_, state);
}

void OuterStep::take(std::int64_t state, std::int64_t count, std::span<const std::byte* const> gradients, Number number,
                     std::span<std::byte* const> weights, const SliceKernels& kernels) {
  std::vector<std::byte*> written(weights.begin(), weights.end());
  written.push_back(at_element(met_, state));
  const Number own = number_of(met_.scalar_type());
  kernels.update({.count = count,
                  .gradient_number = number,
                  .gradients = gradients,
                  .weight_number = own,
                  .weights = at_element(met_, state),
                  .working_number = own,
                  .working = written,
                  .momentum = at_element(momentum_, state),
                  .streaming = false},
                 rule_);
}

}  // namespace regatta
