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
  const Placement& place = p_.plan.placement;
  if (place.backend != Backend::kNccl) return nullptr;
  if (place.cpu_ranks == 0) return open_gpu(p_.ranks);
  const MixedRanks mixed = split_by_device(p_.ranks, place);
  if (mixed.gpus == nullptr) return make_host_device(*mixed.carriers, p_.watchdog);
  bridged_ = open_gpu(*mixed.gpus);
  return make_bridge_device(*bridged_, mixed);
}

/// Collective over `ranks`, which have a GPU each.
std::unique_ptr<Device> PartMaker::open_gpu(RankContext& ranks) {
  if (p_.wraps.device) return p_.wraps.device(ranks);
  const auto gpus = static_cast<int>(p_.gpus.devices.size());
  return p_.cuda.plugin->table().open_device(ranks.local_rank() % gpus, ranks,
                                             [this](const char* what, const std::function<bool()>& done) {
                                               const WatchedWait wait(p_.watchdog, what, WaitKind::kPolling);
                                               poll_until(p_.watchdog, done);
                                             });
}

LinearKernels PartMaker::choose_kernels() {
  const Placement& place = p_.plan.placement;
  if (place.backend == Backend::kNccl && place.cpu_ranks == 0) return {};
  if (!p_.features.has(Feature::kOneDnnLinear)) return {};
  if (p_.plan.kernels) return *p_.plan.kernels;
  const TrainSpec& spec = p_.plan.training.train;
  std::string text;
  agree(p_.ranks, [&] {
    if (p_.ranks.rank() != 0) return;
    const PositionRange part =
        micro_batch(global_batch(p_.plan.dataset.train_count, spec.batch, 0), spec.accumulate, 0);
    const std::int64_t samples = share_of(part, p_.plan.shares, /*rank=*/0).size();
    text = to_json(measure_linear_kernels(p_.plan.training.model, p_.plan.dataset, samples, spec.precision)).dump();
  });
  return linear_kernels_from_json(parse_json(p_.ranks.broadcast(std::move(text)), "rank 0's kernels"));
}

std::unique_ptr<Model> PartMaker::make_model(const LinearKernels& linear, const Device* device) {
  const TrainSpec& spec = p_.plan.training.train;
  const LayerKernels kernels = is_gpu_rank(p_.plan.placement, p_.ranks.rank())
                                   ? LayerKernels{.convolutions = false, .lstm = false}
                                   : LayerKernels{.linear = linear,
                                                  .convolutions = p_.features.has(Feature::kConvolutions),
                                                  .lstm = p_.features.has(Feature::kLstm)};
  std::unique_ptr<Model> model;
  agree(p_.ranks, [&] {
    model = regatta::make_model(p_.plan.training.model, p_.plan.dataset, spec.precision, spec.seed, kernels,
                                device ? device->where() : c10::kCPU);
  });
  load_start_weights(*model, p_.plan, p_.ranks, p_.watchdog);
  return p_.wraps.model ? p_.wraps.model(std::move(model), p_.ranks.rank()) : std::move(model);
}

void PartMaker::mark_bf16(std::vector<Parameter>& parameters) const {
  std::size_t i = 0;
  for (const TensorLayout& tensor : model_layout(p_.plan.training.model, p_.plan.dataset))
    if (tensor.trained()) parameters.at(i++).may_be_bf16 = tensor.autocast;
}

LaneChoice PartMaker::choose_lanes() const {
  if (p_.plan.lanes) return *p_.plan.lanes;
  LaneChoice choice = measure_lanes(p_.ranks, p_.watchdog);
  if (std::cmp_greater_equal(node_map(p_.ranks).ranks.size(), kNodesWithAChoice)) choice.measured_by = p_.plan.run;
  return choice;
}

std::unique_ptr<Exchanger> PartMaker::make_exchanger(const Model& model, Device* device, LapClock& clock) {
  std::vector<Parameter> parameters;
  const TrainSpec& spec = p_.plan.training.train;
  for (const auto& [name, tensor] : model.parameters()) parameters.push_back({name, tensor});
  if (spec.precision == Precision::kBf16) mark_bf16(parameters);
  ExchangerParts parts{.parameters = parameters,
                       .limits = p_.plan.buckets,
                       .clip_norm = spec.clip_norm,
                       .clock = clock,
                       .watchdog = p_.watchdog,
                       .ranks = p_.ranks};
  const bool one_host = p_.ranks.local_size() == p_.ranks.world_size();
  const bool has_mpi = p_.ranks.world_size() > 1;
  std::shared_ptr<LossScale> loss_scale;
  if (spec.precision == Precision::kFp16) loss_scale = std::make_shared<LossScale>(device->where());
  const auto wrapped_optimizer = [&] {
    auto optimizer = make_optimizer(spec.optimizer, parameters, loss_scale ? loss_scale->overflow() : at::Tensor());
    return p_.wraps.optimizer ? p_.wraps.optimizer(std::move(optimizer), p_.ranks.rank()) : std::move(optimizer);
  };
  std::unique_ptr<Exchanger> exchanger;
  if (device != nullptr) {
    exchanger = make_device_exchanger(std::move(parts), wrapped_optimizer(), *device, spec.exchange.wire, loss_scale);
  } else if (!has_mpi ||
             (p_.features.has(Feature::kNodeExchanger) && (one_host || p_.features.has(Feature::kClusterExchanger)))) {
    const NodeOptions options{.streaming_stores = p_.features.has(Feature::kStreamingStores),
                              .bf16_weights = p_.features.has(Feature::kBf16Weights)};
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
  return p_.wraps.exchanger ? p_.wraps.exchanger(std::move(exchanger), clock, p_.ranks.rank()) : std::move(exchanger);
}

void PartMaker::settle_micro_batch(Model& model, Exchanger& exchanger) {
  auto& micro_batch = p_.plan.training.train.micro_batch;
  if (micro_batch != kAutoMicroBatch) return;
  micro_batch = find_micro_batch(p_.plan, model, exchanger, p_.ranks);
  p_.log.info(fmt::format("micro_batch auto: {} samples at once", *micro_batch));
}

std::unique_ptr<BatchSource> PartMaker::make_batches(const NodeDataset& data, Device* gpu) {
  BeforeBatch before;
  if (p_.wraps.before_batch)
    before = [hook = p_.wraps.before_batch, rank = p_.ranks.rank()](std::int64_t batch) { hook(rank, batch); };
  auto source = open_source(p_.plan, data, Split::kTrain);
  auto batches = gpu != nullptr ? make_device_batches(p_.plan, std::move(source), p_.ranks.rank(), *gpu, p_.watchdog,
                                                      std::move(before))
                                : make_loader(p_.plan, std::move(source), p_.ranks.rank(), std::move(before));
  return p_.wraps.batches ? p_.wraps.batches(std::move(batches), p_.plan, p_.ranks.rank()) : std::move(batches);
}

std::unique_ptr<EvaluationSource> PartMaker::make_evaluation(const NodeDataset& data, Device* gpu) {
  if (p_.plan.training.train.evaluate == Evaluate::kNever || data.test.count == 0) return nullptr;
  auto source = open_source(p_.plan, data, Split::kTest);
  auto batches = gpu != nullptr ? make_device_evaluation(p_.plan, std::move(source), p_.ranks.rank(), *gpu, p_.watchdog)
                                : make_evaluation_source(p_.plan, std::move(source), p_.ranks.rank());
  return p_.wraps.evaluation ? p_.wraps.evaluation(std::move(batches), p_.ranks.rank()) : std::move(batches);
}

}  // namespace regatta
