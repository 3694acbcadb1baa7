#pragma once
// The models by name (torch half of jobs/). Same layers and initialisation distributions as torch.nn's defaults.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "jobs/dataset_index.hpp"
#include "jobs/linear_kernels.hpp"
#include "jobs/spec.hpp"

namespace regatta {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Who computes the layers that we have kernels of our own for, or a choice of libraries. Off: ATen.
struct LayerKernels {
  LinearKernels linear;
  bool convolutions = true;  ///< see convolution.hpp
  bool lstm = true;          ///< see lstm_layer.hpp
};

/// Sums `values` over all ranks, in place, with the same result everywhere. Collective.
using SumOverRanks = std::function<void(std::span<double>)>;

/// All tensors of a model, as model_layout() lists them.
struct ModelTensors {
  NamedTensors parameters;  ///< leaves that require grad
  NamedTensors buffers;     ///< batch norm: running statistics, and an int64 that counts batches

  /// The one of this name; requires that there is one.
  const at::Tensor& at(const std::string& name) const;
  bool has(const std::string& name) const;
};

/// What products and convolutions are computed in where it is not the weights' own type; nothing: it is.
using Autocast = std::optional<at::ScalarType>;

/// What backward computes first of a linear layer.
enum class GradientOrder {
  kInputs,   ///< once a weight's gradient is there, backward reads that weight no more: whoever has it may write
  kWeights,  ///< the weight's gradient is there sooner and can travel meanwhile; weights stay until backward ends
};

/// A network with named tensors. Starts in training mode. Trainer thread only.
class Model {
 public:
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  /// Images (B, C, H, W) to logits (B, classes); text (B, L) int64 to logits (B*L, classes). With bf16 and fp16 under
  /// autocast, whose cache of cast weights ends with the call: logits are bfloat16 or float16, parameters and gradients
  /// stay float32.
  at::Tensor forward(const at::Tensor& inputs);

  /// In registration order, dotted names as PyTorch's state_dict has them ("0.weight", "0.bias", "3.weight", ...).
  const NamedTensors& parameters() const { return tensors_.parameters; }
  /// What evaluation needs besides and no optimizer touches, likewise named.
  const NamedTensors& buffers() const { return tensors_.buffers; }

  /// Evaluation (false) uses batch norm's running statistics and leaves them alone.
  void set_training(bool training) { training_ = training; }
  bool training() const { return training_; }

  void set_gradient_order(GradientOrder order) { gradient_order_ = order; }  ///< kInputs until then

  /// From now on batch norm takes its statistics over all ranks (train.batch_norm: sync). Nothing for models without
  /// one. `sum` must outlive the last forward and backward.
  void share_statistics(SumOverRanks sum);
  /// Forward and backward in training call the sum that share_statistics() was given: every rank has to run both for
  /// every batch, also for one of 0 samples.
  bool is_collective() const { return training_ && sum_over_ranks_ != nullptr; }

 protected:
  Model(ModelTensors tensors, Autocast autocast) : tensors_(std::move(tensors)), autocast_(autocast) {}
  virtual at::Tensor compute(const at::Tensor& inputs) = 0;
  const ModelTensors& tensors() const { return tensors_; }
  GradientOrder gradient_order() const { return gradient_order_; }
  /// Null without share_statistics().
  const SumOverRanks& sum_over_ranks() const { return sum_over_ranks_; }

 private:
  ModelTensors tensors_;
  Autocast autocast_;
  bool training_ = true;
  GradientOrder gradient_order_ = GradientOrder::kInputs;
  SumOverRanks sum_over_ranks_;
};

/// Weights drawn from `seed` alone, in float64 and then rounded, so that every rank and every precision starts from the
/// same numbers. Its tensors, but for counters, lie on `device`, which its inputs have to be on; there it wants no
/// kernels of ours, which are for the CPU, and 4-d parameters in float32 are laid out channels last. Throws ConfigError
/// as model_misfit() says.
std::unique_ptr<Model> make_model(const ModelSpec& spec, const DatasetIndex& data, Precision precision,
                                  std::uint64_t seed, const LayerKernels& kernels = {}, c10::Device device = c10::kCPU);

/// Sum over samples of the cross entropy, a scalar with gradient, in float32 at least. Images: `targets` (B) int64.
/// Text: `targets` (B, L) for logits (B*L, classes); a sample's share is the mean over its L characters.
at::Tensor loss_sum(const at::Tensor& logits, const at::Tensor& targets);

/// train.batch_norm: local. Gives every rank the running statistics averaged over ranks, weighted by the samples that
/// each has trained on since the last call; before evaluation and before weights are written. Collective, even for a
/// model without such statistics.
void average_running_statistics(Model& model, std::int64_t own_samples, const SumOverRanks& sum);

}  // namespace regatta
