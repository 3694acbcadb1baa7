#include "worker/gradient_capture.hpp"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

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

GradientCapture::GradientCapture(std::vector<Parameter> parameters, std::vector<int> bucket_of, LapClock& clock,
                                 Publish publish, BucketReady bucket_ready)
    : parameters_(std::move(parameters)),
      bucket_of_(std::move(bucket_of)),
      sizes_(static_cast<std::size_t>(*std::max_element(bucket_of_.begin(), bucket_of_.end()) + 1)),
      clock_(clock),
      publish_(std::move(publish)),
      bucket_ready_(std::move(bucket_ready)) {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    torch::autograd::impl::set_post_acc_grad_hooks(parameters_[i].tensor, std::make_unique<Hook>(*this, i));
  for (const int bucket : bucket_of_) ++sizes_[static_cast<std::size_t>(bucket)];
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
  missing_ = sizes_;
}

void GradientCapture::take(std::size_t parameter, const at::Tensor& tensor) {
  if (!last_pass_) return;
  const int bucket = bucket_of_[parameter];
  const Lap lap(clock_, Activity::kPublish, bucket);
  REGATTA_ENSURE(!present_[parameter], "one last backward pass a step");
  publish_(parameter, tensor.grad());
  tensor.mutable_grad().reset();
  present_[parameter] = true;
  if (--missing_[static_cast<std::size_t>(bucket)] == 0) bucket_ready_(bucket);
}

}  // namespace regatta
