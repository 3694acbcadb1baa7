#include "worker/flat_buffer.hpp"

#include <ATen/ATen.h>

#include "common/error.hpp"

namespace regatta {

BucketPlan bucket_plan_of(const std::vector<Parameter>& parameters, const BucketLimits& limits) {
  std::vector<std::int64_t> counts;
  for (const Parameter& parameter : parameters) {
    REGATTA_ENSURE(parameter.tensor.scalar_type() == parameters[0].tensor.scalar_type(), "parameters of one dtype");
    counts.push_back(parameter.tensor.numel());
  }
  REGATTA_ENSURE(!counts.empty(), "a model without parameters has nothing to exchange");
  return make_bucket_plan(counts, static_cast<std::int64_t>(parameters[0].tensor.element_size()), limits);
}

std::vector<int> buckets_of(const BucketPlan& plan) {
  std::vector<int> buckets;
  for (const BucketSlot& slot : plan.slots) buckets.push_back(slot.bucket);
  return buckets;
}

std::vector<std::int64_t> bucket_bytes_of(const BucketPlan& plan, std::int64_t element_bytes) {
  std::vector<std::int64_t> bytes;
  for (const BucketRange& bucket : plan.buckets) bytes.push_back((bucket.end - bucket.begin) * element_bytes);
  return bytes;
}

std::vector<at::Tensor> views_of(const at::Tensor& flat, const BucketPlan& plan,
                                 const std::vector<Parameter>& parameters) {
  std::vector<at::Tensor> views;
  for (std::size_t i = 0; i < plan.slots.size(); ++i) {
    const at::Tensor& parameter = parameters[i].tensor;  // dense
    views.push_back(flat.as_strided(parameter.sizes(), parameter.strides(), plan.slots[i].offset));
  }
  return views;
}

}  // namespace regatta
