#pragma once
// One update rule, applied to whole parameters, many at a time. In torch's own arithmetic, as an oracle for the
// rules of slice_kernels.hpp.

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
  /// parameter[i] <- rule(parameter[i], mean gradient, state[i]) for each i in `parameters`, whose mean gradients stand
  /// in their order: same shape, strides and dtype. A device gets a fixed number of launches, however many they are.
  /// Requires that parameters that are applied together once always are.
  virtual void apply(const std::vector<std::size_t>& parameters, const std::vector<at::Tensor>& mean_gradients,
                     double learning_rate) = 0;
};

/// The rules of torch.optim, without dampening and amsgrad:
///   sgd    g += weight_decay*p; buf = momentum*buf + g; p -= lr*(nesterov ? g + momentum*buf : buf)
///          (Sutskever et al., ICML 2013, in the form that PyTorch gave it)
///   adam   g += weight_decay*p; the means of g and g^2, corrected for their start
///          (Kingma and Ba, ICLR 2015, algorithm 1)
///   adamw  as adam, but p -= lr*weight_decay*p beside it (Loshchilov and Hutter, ICLR 2019, algorithm 2)
/// `skip`, if given: () float32 beside the parameters. Where it is 1 when the rule runs, the rule leaves parameter and
/// state as they are, and nobody reads the number on the host.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec, const std::vector<Parameter>& parameters,
                                          at::Tensor skip = {});

}  // namespace regatta
