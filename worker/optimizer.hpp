#pragma once
// One update rule, applied by the exchanger to the mean gradient: whole parameters, or later the slice a rank owns.

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "jobs/spec.hpp"
#include "worker/exchanger.hpp"

namespace regatta {

/// Keeps its state by parameter index. Trainer thread only.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// parameter[i] <- rule(parameter[i], mean_gradient, state[i]); same shape and dtype.
  virtual void apply(std::size_t parameter, const at::Tensor& mean_gradient, double learning_rate) = 0;
};

/// SGD with momentum as in torch.optim.SGD: buf = momentum*buf + g; p -= lr*buf (Sutskever et al., ICML 2013, in the
/// form that PyTorch gave it).
std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec, std::vector<Parameter> parameters);

}  // namespace regatta
