#pragma once
// Joules and who says so. METRICS.md (cluster/), section 9, has the formulas.

#include <string>

#include "common/json.hpp"
#include "common/price.hpp"

namespace regatta {

/// A pool's own word on what a node draws: cluster.yaml's `power`.
struct PowerSpec {
  double idle_w = 0, busy_w = 0;  ///< of a whole node: doing nothing, and with all slots busy
  std::string source;
  bool operator==(const PowerSpec&) const = default;
};
Json to_json(const PowerSpec&);
/// Throws IoError naming the key.
PowerSpec power_from_json(const Json&);

struct EnergyFigure {
  double value_j = 0;
  FigureKind kind = FigureKind::kMeasured;  ///< measured by meters, or estimated by the pool's power
  double error_pct = 0;                     ///< what the value may be off by
  std::string source;
  bool operator==(const EnergyFigure&) const = default;
};
/// {"value": 1234.5, "kind": "measured", "error_pct": 5, "source": "..."}
Json to_json(const EnergyFigure&);
EnergyFigure energy_from_json(const Json&);

/// A meter's error, as far as it has been studied: RAPL's packages and NVML's boards within 5 %
/// (Khan et al., "RAPL in Action", TOMPECS 2018; Yang et al., "Part-time Power Measurements", SC 2024).
inline constexpr double kMeterErrorPct = 5;
/// Two watts from a data sheet stand for a whole machine: studies of such models find 40 to 50 %.
inline constexpr double kModelErrorPct = 50;

/// The pool's watts over `wall_s` on `nodes` nodes with the part `busy` (0 to 1) of their slots at work.
EnergyFigure modelled_energy(const PowerSpec& power, int nodes, double busy, double wall_s);

}  // namespace regatta
