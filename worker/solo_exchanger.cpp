// One rank has nobody to exchange with: it keeps the gradients that autograd made, divides and applies them.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "worker/clip.hpp"
#include "worker/exchanger.hpp"
#include "worker/gradient_capture.hpp"
#include "worker/lap_clock.hpp"
#include "worker/optimizer.hpp"

namespace regatta {
namespace {

class SoloExchanger final : public Exchanger {
 public:
  explicit SoloExchanger(ExchangerParts parts)
      : parts_(std::move(parts)),
        plan_(bucket_plan_of(parts_.parameters, parts_.limits)),
        gradients_(parts_.parameters.size()),
        capture_(
            parts_.parameters, plan_, parts_.clock,
            [this](std::size_t i, const at::Tensor& gradient) { gradients_[i] = gradient; },
            [this](int bucket) { bucket_ready(bucket); }) {}

  const char* name() const override { return "solo"; }
  int buckets() const override { return static_cast<int>(plan_.buckets.size()); }
  std::int64_t gradient_bytes() const override {
    return plan_.elements * static_cast<std::int64_t>(parts_.parameters[0].tensor.element_size());
  }
  const std::string& bucket_plan_hash() const override { return plan_.hash; }

  void begin_step(std::int64_t, std::int64_t global_samples, double learning_rate) override {
    global_samples_ = global_samples;
    learning_rate_ = learning_rate;
    capture_.begin_step();
  }
  void begin_pass(bool last) override { capture_.begin_pass(last); }

  void bucket_ready(int) override {}

  StepOutcome finish_step(const StepVotes& votes) override {
    StepOutcome outcome{
        .loss = votes.loss_sum / static_cast<double>(global_samples_), .stop = votes.stop != 0, .budget = votes.budget};
    outcome.failed = votes.failed != 0 || !std::isfinite(outcome.loss);
    capture_.finish();
    if (!outcome.failed) apply();
    return outcome;
  }

  void allreduce_now(std::span<double>) override {}
  std::vector<double> take_waits() override { return {}; }
  std::int64_t take_bytes_exchanged() override { return 0; }

 private:
  void apply() {
    const Lap lap(parts_.clock, Phase::kOptimizer);
    const c10::NoGradGuard no_grad;
    for (std::size_t i = 0; i < gradients_.size(); ++i) {
      if (capture_.has(i))
        gradients_[i].div_(global_samples_);
      else
        gradients_[i] = at::zeros_like(parts_.parameters[i].tensor);
    }
    if (parts_.clip_norm) clip_to_norm(gradients_, *parts_.clip_norm);
    for (std::size_t i = 0; i < gradients_.size(); ++i) {
      parts_.optimizer->apply(i, gradients_[i], learning_rate_);
      gradients_[i].reset();
    }
  }

  ExchangerParts parts_;
  BucketPlan plan_;
  std::vector<at::Tensor> gradients_;  // by parameter, as autograd made them
  GradientCapture capture_;
  std::int64_t global_samples_ = 0;
  double learning_rate_ = 0;
};

}  // namespace

std::unique_ptr<Exchanger> make_solo_exchanger(ExchangerParts parts) {
  return std::make_unique<SoloExchanger>(std::move(parts));
}

}  // namespace regatta
