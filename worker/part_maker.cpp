#include "worker/part_maker.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "jobs/linear.hpp"
#include "jobs/model_layout.hpp"
#include "jobs/shares.hpp"
#include "worker/bridge_device.hpp"
#include "worker/device_batches.hpp"
#include "worker/device_exchanger.hpp"
#include "worker/failure.hpp"
#include "worker/host_device.hpp"
#include "worker/lanes.hpp"
#include "worker/loader.hpp"
#include "worker/loss_scale.hpp"
#include "worker/measure_lanes.hpp"
#include "worker/micro_batch.hpp"
#include "worker/polled_wait.hpp"
#include "worker/rank_log.hpp"
#include "worker/start_weights.hpp"

namespace regatta {

std::unique_ptr<Device> PartMaker::open_device() {
  const Placement& place = plan_.placement;
  if (place.backend != Backend::kNccl) return nullptr;
  if (place.cpu_ranks == 0) return open_gpu(ranks_);
  const MixedRanks mixed = split_by_device(ranks_, place);
  if (mixed.gpus == nullptr) return make_host_device(*mixed.carriers, watchdog_);
  bridged_ = open_gpu(*mixed.gpus);
  return make_bridge_device(*bridged_, mixed);
}

/// Collective over `ranks`, which have a GPU each.
std::unique_ptr<Device> PartMaker::open_gpu(RankContext& ranks) {
  if (wraps_.device) return wraps_.device(ranks);
  const auto gpus = static_cast<int>(gpus_.devices.size());
  return cuda_.plugin->table().open_device(ranks.local_rank() % gpus, ranks,
                                           [this](const char* what, const std::function<bool()>& done) {
                                             const WatchedWait wait(watchdog_, what, WaitKind::kPolling);
                                             poll_until(watchdog_, done);
                                           });
}

LinearKernels PartMaker::choose_kernels() {
  const Placement& place = plan_.placement;
  if (place.backend == Backend::kNccl && place.cpu_ranks == 0) return {};
  if (!features_.has(Feature::kOneDnnLinear)) return {};
  if (plan_.kernels) return *plan_.kernels;
  const TrainSpec& spec = plan_.training.train;
  std::string text;
  agree(ranks_, [&] {
    if (ranks_.rank() != 0) return;
    const PositionRange part = micro_batch(global_batch(plan_.dataset.train_count, spec.batch, 0), spec.accumulate, 0);
    const std::int64_t samples = share_of(part, plan_.shares, /*rank=*/0).size();
    text = to_json(measure_linear_kernels(plan_.training.model, plan_.dataset, samples, spec.precision)).dump();
  });
  return linear_kernels_from_json(parse_json(ranks_.broadcast(std::move(text)), "rank 0's kernels"));
}

std::unique_ptr<Model> PartMaker::make_model(const LinearKernels& linear, const Device* device) {
  const TrainSpec& spec = plan_.training.train;
  const LayerKernels kernels = is_gpu_rank(plan_.placement, ranks_.rank())
                                   ? LayerKernels{.convolutions = false, .lstm = false}
                                   : LayerKernels{.linear = linear,
                                                  .convolutions = features_.has(Feature::kConvolutions),
                                                  .lstm = features_.has(Feature::kLstm)};
  std::unique_ptr<Model> model;
  agree(ranks_, [&] {
    model = regatta::make_model(plan_.training.model, plan_.dataset, spec.precision, spec.seed, kernels,
                                device ? device->where() : c10::kCPU);
  });
  load_start_weights(*model, plan_, ranks_, watchdog_);
  return wraps_.model ? wraps_.model(std::move(model), ranks_.rank()) : std::move(model);
}

void PartMaker::mark_bf16(std::vector<Parameter>& parameters) const {
  std::size_t i = 0;
  for (const TensorLayout& tensor : model_layout(plan_.training.model, plan_.dataset))
    if (tensor.trained()) parameters.at(i++).may_be_bf16 = tensor.autocast;
}

LaneChoice PartMaker::choose_lanes() const {
  if (plan_.lanes) return *plan_.lanes;
  LaneChoice choice = measure_lanes(ranks_, watchdog_);
  if (std::cmp_greater_equal(node_map(ranks_).ranks.size(), kNodesWithAChoice)) choice.measured_by = plan_.run;
  return choice;
}

std::unique_ptr<Exchanger> PartMaker::make_exchanger(const Model& model, Device* device, LapClock& clock) {
  std::vector<Parameter> parameters;
  const TrainSpec& spec = plan_.training.train;
  for (const auto& [name, tensor] : model.parameters()) parameters.push_back({name, tensor});
  if (spec.precision == Precision::kBf16) mark_bf16(parameters);
  ExchangerParts parts{.parameters = parameters,
                       .limits = plan_.buckets,
                       .clip_norm = spec.clip_norm,
                       .clock = clock,
                       .watchdog = watchdog_,
                       .ranks = ranks_};
  const bool one_host = ranks_.local_size() == ranks_.world_size();
  const bool has_mpi = ranks_.world_size() > 1;
  std::shared_ptr<LossScale> loss_scale;
  if (spec.precision == Precision::kFp16) loss_scale = std::make_shared<LossScale>(device->where());
  const auto wrapped_optimizer = [&] {
    auto optimizer = make_optimizer(spec.optimizer, parameters, loss_scale ? loss_scale->overflow() : at::Tensor());
    return wraps_.optimizer ? wraps_.optimizer(std::move(optimizer), ranks_.rank()) : std::move(optimizer);
  };
  std::unique_ptr<Exchanger> exchanger;
  if (device != nullptr) {
    exchanger = make_device_exchanger(std::move(parts), wrapped_optimizer(), *device, spec.exchange.wire, loss_scale);
  } else if (!has_mpi ||
             (features_.has(Feature::kNodeExchanger) && (one_host || features_.has(Feature::kClusterExchanger)))) {
    const NodeOptions options{.streaming_stores = features_.has(Feature::kStreamingStores),
                              .bf16_weights = features_.has(Feature::kBf16Weights)};
    if (!one_host) lanes_ = choose_lanes();
    exchanger = one_host ? make_node_exchanger(std::move(parts), spec.optimizer, options)
                         : make_cluster_exchanger(std::move(parts), spec.optimizer, options,
                                                  {.wire = spec.exchange.wire,
                                                   .every = spec.exchange.every,
                                                   .outer = spec.exchange.outer.value_or(OuterSpec{}),
                                                   .choice = *lanes_});
  } else {
    exchanger = make_mpi_exchanger(std::move(parts), wrapped_optimizer());
  }
  return wraps_.exchanger ? wraps_.exchanger(std::move(exchanger), clock, ranks_.rank()) : std::move(exchanger);
}

void PartMaker::settle_micro_batch(Model& model, Exchanger& exchanger) {
  auto& micro_batch = plan_.training.train.micro_batch;
  if (micro_batch != kAutoMicroBatch) return;
  micro_batch = find_micro_batch(plan_, model, exchanger, ranks_);
  log_.info(fmt::format("micro_batch auto: {} samples at once", *micro_batch));
}

std::unique_ptr<BatchSource> PartMaker::make_batches(const NodeDataset& data, Device* gpu) {
  BeforeBatch before;
  if (wraps_.before_batch)
    before = [hook = wraps_.before_batch, rank = ranks_.rank()](std::int64_t batch) { hook(rank, batch); };
  auto source = open_source(plan_, data, Split::kTrain);
  auto batches = gpu != nullptr
                     ? make_device_batches(plan_, std::move(source), ranks_.rank(), *gpu, watchdog_, std::move(before))
                     : make_loader(plan_, std::move(source), ranks_.rank(), std::move(before));
  return wraps_.batches ? wraps_.batches(std::move(batches), plan_, ranks_.rank()) : std::move(batches);
}

std::unique_ptr<EvaluationSource> PartMaker::make_evaluation(const NodeDataset& data, Device* gpu) {
  if (plan_.training.train.evaluate == Evaluate::kNever || data.test.count == 0) return nullptr;
  auto source = open_source(plan_, data, Split::kTest);
  auto batches = gpu != nullptr ? make_device_evaluation(plan_, std::move(source), ranks_.rank(), *gpu, watchdog_)
                                : make_evaluation_source(plan_, std::move(source), ranks_.rank());
  return wraps_.evaluation ? wraps_.evaluation(std::move(batches), ranks_.rank()) : std::move(batches);
}

}  // namespace regatta
