#include "worker/optimizer.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

namespace regatta {
namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(const OptimizerSpec& spec, std::vector<Parameter> parameters)
      : spec_(spec), parameters_(std::move(parameters)), momentum_(parameters_.size()) {}

  void apply(std::size_t parameter, const at::Tensor& mean_gradient, double learning_rate) override {
    const c10::NoGradGuard no_grad;
    at::Tensor& weights = parameters_[parameter].tensor;
    at::Tensor gradient = mean_gradient;
    if (spec_.weight_decay != 0) gradient = gradient.add(weights, spec_.weight_decay);
    if (spec_.momentum != 0) {
      at::Tensor& buffer = momentum_[parameter];
      if (buffer.defined())
        buffer.mul_(spec_.momentum).add_(gradient);
      else
        buffer = gradient.clone();  // the first step's buffer is the gradient itself, as in torch.optim.SGD
      gradient = spec_.nesterov ? gradient.add(buffer, spec_.momentum) : buffer;
    }
    weights.add_(gradient, -learning_rate);
  }

 private:
  OptimizerSpec spec_;
  std::vector<Parameter> parameters_;
  std::vector<at::Tensor> momentum_;  // by parameter; undefined before its first step
};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec, std::vector<Parameter> parameters) {
  if (spec.kind != OptimizerKind::kSgd)
    throw ConfigError(fmt::format("train.optimizer.kind: {} is not in this version; known: sgd", to_text(spec.kind)));
  return std::make_unique<Sgd>(spec, std::move(parameters));
}

}  // namespace regatta
