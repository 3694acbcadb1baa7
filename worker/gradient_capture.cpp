#include "worker/gradient_capture.hpp"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "common/error.hpp"
#include "worker/lap_clock.hpp"

namespace regatta {

class GradientCapture::Hook final : public torch::autograd::PostAccumulateGradHook {
 public:
  Hook(GradientCapture& owner, std::size_t parameter) : owner_(owner), parameter_(parameter) {}
  void operator()(const at::Tensor& tensor) override { owner_.take(parameter_, tensor); }

 private:
  GradientCapture& owner_;
  std::size_t parameter_;
};

GradientCapture::GradientCapture(std::vector<Parameter> parameters, const BucketPlan& plan, LapClock& clock,
                                 Publish publish, BucketReady bucket_ready)
    : parameters_(std::move(parameters)),
      plan_(plan),
      clock_(clock),
      publish_(std::move(publish)),
      bucket_ready_(std::move(bucket_ready)) {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    torch::autograd::impl::set_post_acc_grad_hooks(parameters_[i].tensor, std::make_unique<Hook>(*this, i));
  begin_step();
}

GradientCapture::~GradientCapture() {
  for (const Parameter& parameter : parameters_)
    torch::autograd::impl::set_post_acc_grad_hooks(parameter.tensor, nullptr);
}

void GradientCapture::begin_pass(bool last) {
  last_pass_ = last;
}

void GradientCapture::finish() {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (!present_[i] && parameters_[i].tensor.grad().defined()) take(i, parameters_[i].tensor);
}

void GradientCapture::begin_step() {
  last_pass_ = true;
  present_.assign(parameters_.size(), false);
  missing_.clear();
  for (const BucketRange& bucket : plan_.buckets) missing_.push_back(bucket.parameters);
}

void GradientCapture::take(std::size_t parameter, const at::Tensor& tensor) {
  if (!last_pass_) return;
  const Lap lap(clock_, Phase::kExchange);
  REGATTA_ENSURE(!present_[parameter], "one last backward pass a step");
  publish_(parameter, tensor.grad());
  tensor.mutable_grad().reset();
  present_[parameter] = true;
  const int bucket = plan_.slots[parameter].bucket;
  if (--missing_[static_cast<std::size_t>(bucket)] == 0) bucket_ready_(bucket);
}

BucketPlan bucket_plan_of(const std::vector<Parameter>& parameters, const BucketLimits& limits) {
  std::vector<std::int64_t> counts;
  for (const Parameter& parameter : parameters) {
    REGATTA_ENSURE(parameter.tensor.scalar_type() == parameters[0].tensor.scalar_type(), "parameters of one dtype");
    counts.push_back(parameter.tensor.numel());
  }
  REGATTA_ENSURE(!counts.empty(), "a model without parameters has nothing to exchange");
  return make_bucket_plan(counts, static_cast<std::int64_t>(parameters[0].tensor.element_size()), limits);
}

}  // namespace regatta
