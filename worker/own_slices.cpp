#include "worker/own_slices.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "common/error.hpp"
#include "worker/outer_step.hpp"
#include "worker/slice_tensors.hpp"

namespace regatta {

OwnSlices::OwnSlices(std::vector<Parameter>& parameters, const NodeLayout& layout, NodeSegments& segments,
                     RankContext& ranks, const OptimizerSpec& rule, const NodeOptions& options,
                     const SliceKernels& kernels, bool clips)
    : parameters_(parameters),
      layout_(layout),
      segments_(segments),
      options_(options),
      kernels_(kernels),
      rank_(ranks.local_rank()),
      ranks_(ranks.local_size()) {
  expect_separate(parameters_);
  place_parameters();
  number_ = number_of(weights_[0].tensor.scalar_type());
  for (const NodeBucket& bucket : layout_.buckets) {
    first_state_.push_back(elements_);
    elements_ += slice_of(bucket, rank_, ranks_).size();
  }
  const StepRule first = step_rule(rule, 0, 1);
  const at::TensorOptions numbers = weights_[0].tensor.options().requires_grad(false);
  if (first.has_momentum()) momentum_ = at::zeros({elements_}, numbers);
  if (first.has_square()) square_ = at::zeros({elements_}, numbers);
  if (clips) totals_ = at::empty({elements_}, numbers);
}

void OwnSlices::place_parameters() {
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = parameters_[i];
    REGATTA_ENSURE(parameter.tensor.scalar_type() != at::kBFloat16, "weights that are trained in float or double");
    const bool bf16 = is_bf16(parameter, options_);
    const at::Tensor given = in_storage_order(parameter.tensor.detach());
    const at::Tensor shared =
        at::from_blob(segments_.weights(segments_.own_domain(), i), parameter.tensor.sizes(),
                      parameter.tensor.strides(), given.options().dtype(bf16 ? at::kBFloat16 : given.scalar_type()));
    if (segments_.is_first_of_domain()) in_storage_order(shared).copy_(given);
    weights_.push_back(parameter);
    if (bf16) {
      const Slice own = of_parameter(i);
      const at::Tensor master =
          at::from_blob(segments_.master(i), parameter.tensor.sizes(), parameter.tensor.strides(), given.options());
      in_storage_order(master).slice(0, own.begin, own.end).copy_(given.slice(0, own.begin, own.end));
      weights_.back().tensor = master;
    }
    parameter.tensor.set_data(shared);
  }
}

Slice OwnSlices::of_parameter(std::size_t parameter) const {
  const NodeSlot& slot = layout_.slots[parameter];
  return slice_within(slice_of(layout_.buckets[static_cast<std::size_t>(slot.bucket)], rank_, ranks_), slot);
}

at::Tensor OwnSlices::own_weights(const OwnSlice& own) const {
  return in_storage_order(weights_[own.parameter].tensor.detach()).slice(0, own.elements.begin, own.elements.end);
}

void OwnSlices::keep_where_nodes_met(OuterStep& outer) const {
  const c10::NoGradGuard no_grad;
  for (std::size_t b = 0; b < layout_.buckets.size(); ++b)
    for_each(b, [&](const OwnSlice& own) { outer.start_from(own.state, own_weights(own)); });
}

double OwnSlices::add_up(const OwnSlice& own, const Addends& from, double scale) {
  return kernels_.sum({.count = own.elements.size(),
                       .gradient_number = from.number,
                       .gradients = from.gradients,
                       .scale = scale,
                       .total_number = number_,
                       .total = at(totals_, own.state)});
}

void OwnSlices::update(const OwnSlice& own, const Addends& from, double scale, const StepRule& rule) const {
  const std::vector<std::byte*> working = working_copies(own);
  kernels_.update({.count = own.elements.size(),
                   .gradient_number = from.number,
                   .gradients = from.gradients,
                   .scale = scale,
                   .weight_number = number_,
                   .weights = at(weights_[own.parameter].tensor, own.elements.begin),
                   .working_number = number_of(parameters_[own.parameter].tensor.scalar_type()),
                   .working = working,
                   .momentum = at(momentum_, own.state),
                   .square = at(square_, own.state),
                   .streaming = options_.streaming_stores},
                  rule);
}

void OwnSlices::take_outer(OuterStep& outer, const OwnSlice& own, const Addends& from) const {
  const bool masters = has_masters(own.parameter);
  const std::vector<std::byte*> working = working_copies(own);
  const std::vector<std::byte*> written =
      masters ? std::vector{at(weights_[own.parameter].tensor, own.elements.begin)} : working;
  outer.take(own.state, own.elements.size(), from.gradients, from.number, written, kernels_);
  if (!masters) return;
  const at::Tensor averaged = own_weights(own);
  for (std::byte* const copy : working)
    at::from_blob(copy, {own.elements.size()}, averaged.options().dtype(at::kBFloat16)).copy_(averaged);
}

/// What models compute with, by domain.
std::vector<std::byte*> OwnSlices::working_copies(const OwnSlice& own) const {
  const std::int64_t offset =
      own.elements.begin * static_cast<std::int64_t>(parameters_[own.parameter].tensor.element_size());
  std::vector<std::byte*> copies;
  for (std::size_t d = 0; d < segments_.domains(); ++d) copies.push_back(segments_.weights(d, own.parameter) + offset);
  return copies;
}

std::byte* OwnSlices::at(const at::Tensor& state, std::int64_t element) {
  if (!state.defined()) return nullptr;
  return static_cast<std::byte*>(state.mutable_data_ptr()) + element * static_cast<std::int64_t>(state.element_size());
}

}  // namespace regatta
