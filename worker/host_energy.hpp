#pragma once
// What this host has drawn, by its own meters. One rank a host looks, at the borders of epochs and in between.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cluster/nvml.hpp"
#include "cluster/rapl.hpp"
#include "common/energy.hpp"
#include "common/time.hpp"
#include "jobs/plan.hpp"
#include "worker/journal.hpp"

namespace regatta {

/// One thread.
class HostEnergy {
 public:
  /// `devices`: PCI ids of the GPUs that the ranks of this host train on; empty: none, and idle ones are not counted.
  explicit HostEnergy(const std::vector<std::string>& devices);

  /// Cheap unless the last look was half a minute ago: processors' counters wrap within minutes.
  void watch(SteadyTime now);
  /// Since the last take.
  HostJoules take();

 private:
  std::optional<RaplMeter> rapl_;
  std::optional<NvmlMeter> nvml_;
  bool has_devices_;
  SteadyTime last_look_;
};

/// The energy of one epoch (METRICS.md, section 9): the sum of what every host's meters say, else the pool's power over
/// the epoch's wall time, else nothing. `rows` has one entry a rank. Pure.
std::optional<EnergyFigure> epoch_energy(const Plan& plan, std::span<const RankEpoch> rows, double wall_s);

}  // namespace regatta
