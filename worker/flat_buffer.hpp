#pragma once
// The flat buffer that exchangers hand to collectives, bucket after bucket: a bucket plan of real parameters.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/bucket_plan.hpp"
#include "worker/exchanger.hpp"

namespace regatta {

/// Requires parameters, all of one dtype.
BucketPlan bucket_plan_of(const std::vector<Parameter>& parameters, const BucketLimits& limits);

/// The bucket of each parameter.
std::vector<int> buckets_of(const BucketPlan& plan);

/// Bytes by bucket, of elements of that size.
std::vector<std::int64_t> bucket_bytes_of(const BucketPlan& plan, std::int64_t element_bytes);

/// By parameter: its place in `flat` (plan.elements or more), with its shape and its strides, which optimizers want.
std::vector<at::Tensor> views_of(const at::Tensor& flat, const BucketPlan& plan,
                                 const std::vector<Parameter>& parameters);

}  // namespace regatta
