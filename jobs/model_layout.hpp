#pragma once
// Which tensors a model has: names and shapes as in PyTorch's state_dict, and how each begins. Torch-free and pure, so
// that files of weights are checked, and memory is estimated, before anything is launched.

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/dataset_index.hpp"
#include "jobs/spec.hpp"

namespace regatta {

struct TensorLayout {
  enum class Kind { kParameter, kStatistic, kCounter };  ///< trained; running statistic; one int64 that counts batches
  enum class Start { kUniform, kNormal, kOnes, kZeros };

  std::string name;                 ///< "body.2.sc.0.weight"
  std::vector<std::int64_t> shape;  ///< empty: one number
  Kind kind = Kind::kParameter;
  Start start = Start::kUniform;
  double bound = 0;      ///< kUniform: U(-bound, bound); kNormal is N(0, 1)
  bool autocast = true;  ///< bf16 computes with it in bfloat16; not so batch norm's, and embeddings, which add up rows

  bool trained() const { return kind == Kind::kParameter; }
  double elements() const;  ///< a double: sizes that a job file may ask for overflow 64 bits
};

/// In the order of state_dict; those that are trained are in the order of parameters().
using ModelLayout = std::vector<TensorLayout>;

/// Initialisation as torch.nn's (kaiming_uniform with a = sqrt 5 is U(-1/sqrt(fan_in), 1/sqrt(fan_in))). Requires a
/// model that fits the data, see model_fit.hpp.
ModelLayout model_layout(const ModelSpec& model, const DatasetIndex& data);

/// Bytes of a number in memory: 8 with fp64, else 4, for bf16 keeps masters in fp32.
std::int64_t element_bytes(Precision precision);

/// What one rank needs at least: weights, gradients and the optimizer's state.
double training_bytes(const ModelLayout& layout, const TrainSpec& train);

}  // namespace regatta
