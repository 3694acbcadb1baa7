#include "cluster/spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cluster/spec_words.hpp"

namespace regatta {

const char* to_text(LauncherKind kind) {
  return kLauncherKinds.text(kind);
}

const PoolSpec* ClusterSpec::find(const std::string& name) const {
  const auto found = std::find_if(pools.begin(), pools.end(), [&](const PoolSpec& pool) { return pool.name == name; });
  return found == pools.end() ? nullptr : &*found;
}

ClusterSpec default_cluster() {
  return {.pools = {PoolSpec{.name = kHere}}, .source = {}};
}

Billing default_billing(const std::string& pool) {
  return pool == kHere ? Billing::kSlot : Billing::kNode;
}

Price owned_price(const OwnerPrice& owner) {
  constexpr long double kHoursPerYear = 8760;  // 365 x 24
  REGATTA_ENSURE(owner.lifetime_years > 0 && owner.utilisation > 0, "an owner's price needs a lifetime and a use");
  const long double hours = owner.lifetime_years * kHoursPerYear * owner.utilisation;
  const long double hardware = static_cast<long double>(owner.node_usd.nano) / hours;
  const long double power = owner.watts / 1000.0L * static_cast<long double>(owner.usd_per_kwh.nano);
  return {.usd_per_node_hour = {std::llrintl(hardware + power)},
          .market = Market::kOwned,
          .source = fmt::format("owner: {} USD a node over {} years at {:g} % use, {:g} W at {} USD/kWh",
                                to_decimal(owner.node_usd), owner.lifetime_years, owner.utilisation * 100, owner.watts,
                                to_decimal(owner.usd_per_kwh)),
          .kind = FigureKind::kEstimated};
}

}  // namespace regatta
