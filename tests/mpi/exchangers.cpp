#include "tests/mpi/exchangers.hpp"

#include <algorithm>
#include <map>
#include <ostream>

#include "tests/mpi/world.hpp"
#include "worker/bridge_device.hpp"
#include "worker/device_exchanger.hpp"
#include "worker/host_device.hpp"
#include "worker/optimizer.hpp"

namespace regatta::test {

void PrintTo(const ExchangeWay& way, std::ostream* out) {
  *out << way.name;
}

namespace {

/// Kept for the tests whose sums all end, because groups live as long as the world.
const MixedWorld& mixed_world(int cpu_ranks) {
  static std::map<int, MixedWorld> worlds;
  auto found = worlds.find(cpu_ranks);
  if (found == worlds.end()) found = worlds.emplace(cpu_ranks, make_mixed_world(cpu_ranks)).first;
  return found->second;
}

}  // namespace

MixedWorld make_mixed_world(int cpu_ranks) {
  Placement placement;
  placement.backend = Backend::kNccl;
  placement.ranks = world().ranks.world_size();
  placement.cpu_ranks = cpu_ranks;
  MixedWorld mixed{.ranks = split_by_device(world().ranks, placement)};
  if (mixed.ranks.gpus != nullptr) mixed.sums = std::make_unique<HostSums>(*mixed.ranks.gpus);
  return mixed;
}

MadeExchanger make_mixed_exchanger(const MixedWorld& mixed, const ExchangeWay& way, ExchangerParts parts,
                                   const OptimizerSpec& rule) {
  MadeExchanger made;
  if (mixed.sums) {
    made.device = std::make_unique<LateDevice>(*mixed.sums, *way.device);
    made.around = make_bridge_device(*made.device, mixed.ranks);
  } else {
    made.around = make_host_device(*mixed.ranks.carriers, parts.watchdog);
  }
  auto optimizer = make_optimizer(rule, parts.parameters);
  made.exchanger = make_device_exchanger(std::move(parts), std::move(optimizer), *made.around, way.wire);
  return made;
}

MadeExchanger make_exchanger(const ExchangeWay& way, ExchangerParts parts, const OptimizerSpec& rule) {
  const int cpu_ranks = std::min(way.cpu_ranks, world().ranks.world_size() - 1);
  if (way.device && cpu_ranks > 0) return make_mixed_exchanger(mixed_world(cpu_ranks), way, std::move(parts), rule);
  MadeExchanger made;
  if (way.device) {
    made.device = std::make_unique<LateDevice>(host_sums(), *way.device);
    made.runs_on = made.device.get();
    if (way.loss_scale) made.loss_scale = std::make_shared<LossScale>(c10::Device(c10::kCPU), *way.loss_scale);
    auto optimizer =
        make_optimizer(rule, parts.parameters, made.loss_scale ? made.loss_scale->overflow() : at::Tensor());
    made.exchanger =
        make_device_exchanger(std::move(parts), std::move(optimizer), *made.device, way.wire, made.loss_scale);
  } else if (way.mpi) {
    auto optimizer = make_optimizer(rule, parts.parameters);
    made.exchanger = make_mpi_exchanger(std::move(parts), std::move(optimizer));
  } else if (!way.hosts.empty()) {
    made.exchanger = make_cluster_exchanger(
        {.parameters = std::move(parts.parameters),
         .limits = parts.limits,
         .clip_norm = parts.clip_norm,
         .clock = parts.clock,
         .watchdog = parts.watchdog,
         .ranks = ranks_on(way.hosts)},
        rule, way.node, {.wire = way.wire, .every = way.every, .outer = way.outer, .choice = {way.swap_bytes}});
  } else {
    NodeOptions options = way.node;
    options.numa_domain = way.two_domains ? world().ranks.rank() % 2 : 0;
    made.exchanger = make_node_exchanger(std::move(parts), rule, options);
  }
  return made;
}

RankContext& ranks_on(const std::vector<int>& hosts) {
  if (hosts.empty()) return world().ranks;
  static std::map<std::vector<int>, RankContext*> made;  // they live as long as the world
  auto found = made.find(hosts);
  if (found == made.end()) {
    const int host = hosts.at(static_cast<std::size_t>(world().ranks.rank()));
    found = made.emplace(hosts, &world().ranks.split(0, host)).first;
  }
  return *found->second;
}

StepOutcome finish_and_settle(Exchanger& exchanger, const StepVotes& votes) {
  const auto found = exchanger.finish_step(votes), late = exchanger.settle();
  return late ? *late : found.value();
}

HostSums& host_sums() {
  static HostSums sums(world().ranks);
  return sums;
}

}  // namespace regatta::test
