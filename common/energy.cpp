#include "common/energy.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/enum_text.hpp"

namespace regatta {

namespace {

constexpr EnumText<FigureKind, 2> kEnergyKinds{
    {{{FigureKind::kMeasured, "measured"}, {FigureKind::kEstimated, "estimated"}}}};

double at_least_zero(const Json& json, const char* key) {
  const double value = json_get<double>(json, key);
  if (!(value >= 0)) json_bad(key, "a number from 0", json_at(json, key).dump());
  return value;
}

}  // namespace

Json to_json(const PowerSpec& power) {
  return {{"idle_w", power.idle_w}, {"busy_w", power.busy_w}, {"source", power.source}};
}

PowerSpec power_from_json(const Json& json) {
  PowerSpec power{.idle_w = at_least_zero(json, "idle_w"),
                  .busy_w = at_least_zero(json, "busy_w"),
                  .source = json_get<std::string>(json, "source")};
  if (power.busy_w < power.idle_w)
    json_bad("busy_w", fmt::format("at least idle_w, {:g}", power.idle_w), fmt::format("{:g}", power.busy_w));
  return power;
}

Json to_json(const EnergyFigure& energy) {
  return {{"value", number_or_null(energy.value_j)},
          {"kind", kEnergyKinds.text(energy.kind)},
          {"error_pct", energy.error_pct},
          {"source", energy.source}};
}

EnergyFigure energy_from_json(const Json& json) {
  return {.value_j = at_least_zero(json, "value"),
          .kind = kEnergyKinds.from_json(json, "kind"),
          .error_pct = at_least_zero(json, "error_pct"),
          .source = json_get<std::string>(json, "source")};
}

EnergyFigure modelled_energy(const PowerSpec& power, int nodes, double busy, double wall_s) {
  const double watts = power.idle_w + (power.busy_w - power.idle_w) * std::clamp(busy, 0.0, 1.0);
  return {.value_j = nodes * watts * wall_s,
          .kind = FigureKind::kEstimated,
          .error_pct = kModelErrorPct,
          .source = fmt::format("{:g} W idle, {:g} W busy: {}", power.idle_w, power.busy_w, power.source)};
}

}  // namespace regatta
