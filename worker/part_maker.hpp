#pragma once
// The parts of a trainer, each as the plan says and where measurement decides as measured: device, kernels, model,
// exchanger, batches. A test's wraps go around them here.

#include <memory>
#include <optional>
#include <vector>

#include "cluster/gpus.hpp"
#include "common/features.hpp"
#include "worker/node_dataset.hpp"
#include "worker/worker.hpp"

namespace regatta {

class RankLog;
class Watchdog;

/// What parts are made of, all of it the caller's; what is made keeps references to it.
struct PartSources {
  Plan& plan;  ///< `settle_micro_batch` writes its number there
  const Features& features;
  const WorkerWraps& wraps;
  const LoadedCuda& cuda;
  const GpuReport& gpus;
  RankContext& ranks;
  Watchdog& watchdog;
  RankLog& log;
};

/// Makes them in the order that stands here, each once. Every function but the last two is collective: call it on all
/// ranks. Throws what `agree` throws, and ConfigError, CommError, DataError. Outlives what it made.
class PartMaker {
 public:
  explicit PartMaker(const PartSources& sources) : p_(sources) {}

  /// What this rank exchanges on; null where no rank has a GPU.
  std::unique_ptr<Device> open_device();
  /// The plan's, or else what rank 0 finds on its core: the same on every rank. None where all ranks have GPUs.
  LinearKernels choose_kernels();
  /// With its first weights.
  std::unique_ptr<Model> make_model(const LinearKernels& linear, const Device* device);
  std::unique_ptr<Exchanger> make_exchanger(const Model& model, Device* device, LapClock& clock);
  /// From here on the plan has a number, or none.
  void settle_micro_batch(Model& model, Exchanger& exchanger);
  /// `gpu`: that this rank computes on; null: on the host.
  std::unique_ptr<BatchSource> make_batches(const NodeDataset& data, Device* gpu);
  /// Nothing when the job does not evaluate, or has nothing to evaluate on.
  std::unique_ptr<EvaluationSource> make_evaluation(const NodeDataset& data, Device* gpu);

  /// How nodes sum, where there are several: from make_exchanger on.
  const std::optional<LaneChoice>& lanes() const { return lanes_; }

 private:
  std::unique_ptr<Device> open_gpu(RankContext& ranks);
  LaneChoice choose_lanes() const;
  void mark_bf16(std::vector<Parameter>& parameters) const;

  const PartSources p_;
  std::optional<LaneChoice> lanes_;
  std::unique_ptr<Device> bridged_;  // a GPU with CPU ranks beside it, below what open_device returns
};

}  // namespace regatta
