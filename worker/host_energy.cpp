#include "worker/host_energy.hpp"

#include <algorithm>
#include <cmath>

#include "worker/spending.hpp"

namespace regatta {

namespace {

// The smallest counters in the field hold 65 kJ (DRAM) and 262 kJ (packages): at 500 W they wrap after 131 s.
constexpr auto kLookEvery = std::chrono::seconds(30);

/// Slots of the plan's nodes that work.
double busy_part(const Placement& place) {
  return std::min(1.0, slot_share(holding_of(place)).value() / place.nodes);
}

std::optional<double> finite(double value) {
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace

HostEnergy::HostEnergy(const std::vector<std::string>& devices)
    : has_devices_(!devices.empty()), last_look_(std::chrono::steady_clock::now()) {
  auto rapl = RaplMeter::open();
  if (auto* meter = std::get_if<RaplMeter>(&rapl)) rapl_ = std::move(*meter);
  if (!has_devices_) return;
  auto nvml = Nvml::open();
  if (const auto* library = std::get_if<Nvml>(&nvml)) {
    auto boards = NvmlMeter::open(*library, devices);
    if (auto* meter = std::get_if<NvmlMeter>(&boards)) nvml_ = std::move(*meter);
  }
}

void HostEnergy::watch(SteadyTime now) {
  if (!rapl_ || now - last_look_ < kLookEvery) return;
  last_look_ = now;
  rapl_->sample();
}

HostJoules HostEnergy::take() {
  HostJoules joules{.wants_boards = has_devices_};
  if (rapl_) joules.processors_j = finite(rapl_->take_j());
  if (nvml_) joules.boards_j = finite(nvml_->take_j());
  if (rapl_) joules.source = rapl_->source();
  if (nvml_) joules.source += (joules.source.empty() ? "" : "; ") + nvml_->source();
  return joules;
}

std::optional<EnergyFigure> epoch_energy(const Plan& plan, std::span<const RankEpoch> rows, double wall_s) {
  EnergyFigure all{.error_pct = kMeterErrorPct}, boards = all;
  bool has_all = true, has_boards = true, has_host = false;
  for (const RankEpoch& row : rows) {
    if (!row.energy) continue;  // another rank of its host looks
    const HostJoules& host = *row.energy;
    has_all &= host.processors_j && (host.boards_j || !host.wants_boards);
    has_boards &= host.boards_j.has_value();
    all.value_j += host.processors_j.value_or(0) + host.boards_j.value_or(0);
    boards.value_j += host.boards_j.value_or(0);
    if (!has_host) all.source = host.source;  // hosts of a pool are alike
    has_host = true;
  }
  if (has_host && has_all) return all;
  if (plan.power) return modelled_energy(*plan.power, plan.placement.nodes, busy_part(plan.placement), wall_s);
  if (!has_host || !has_boards) return {};
  boards.source = all.source + "; processors and memory are not metered";
  return boards;
}

}  // namespace regatta
