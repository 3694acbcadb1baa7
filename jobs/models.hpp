#pragma once
// The models by name (torch half of jobs/). Same layers and initialisation distributions as torch.nn's defaults.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jobs/dataset_index.hpp"
#include "jobs/spec.hpp"

namespace regatta {

/// A network with named parameters. Trainer thread only.
class Model {
 public:
  virtual ~Model() = default;
  /// (B, ...) inputs to (B, classes) logits.
  virtual at::Tensor forward(const at::Tensor& inputs) = 0;
  /// In registration order, dotted names as PyTorch's state_dict has them ("0.weight", "0.bias", "3.weight", ...).
  virtual const std::vector<std::pair<std::string, at::Tensor>>& parameters() const = 0;
};

/// Weights drawn from `seed` alone, in float64 and then rounded, so that every rank and every precision starts from the
/// same numbers. Throws ConfigError as model_misfit() says.
std::unique_ptr<Model> make_model(const ModelSpec& spec, const DatasetIndex& data, Precision precision,
                                  std::uint64_t seed);

/// Sum over samples of the cross entropy, a scalar with gradient; `targets` (B) int64.
at::Tensor loss_sum(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace regatta
