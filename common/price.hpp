#pragma once
// What a node costs and who says so. Stored with each run, so that an old run keeps its price.

#include <string>

#include "common/json.hpp"
#include "common/money.hpp"

namespace regatta {

enum class Billing { kNode, kSlot };                        ///< whole nodes, or the slots' share of one
enum class Market { kOnDemand, kSpot, kReserved, kOwned };  ///< in files: on_demand | spot | reserved | owned
enum class FigureKind { kMeasured, kEstimated, kAssumed };  ///< stands beside every figure

/// What an hour of a node may cost; cost_of() holds up to 70 thousand.
inline constexpr NanoUsd kMostUsdPerNodeHour{50'000 * 1'000'000'000LL};

struct Price {
  NanoUsd usd_per_node_hour;
  Billing billing = Billing::kNode;
  Market market = Market::kOnDemand;
  std::string region;
  std::string source;  ///< a citation: "AWS c7i.large; SkyPilot catalog v8, snapshot of 2025"
  std::string date;    ///< of the price, as the source gives it; may be empty
  FigureKind kind = FigureKind::kMeasured;
  bool operator==(const Price&) const = default;
};

const char* to_text(Billing);
const char* to_text(Market);
const char* to_text(FigureKind);

/// {"usd_per_node_hour": "0.08925", "billing": "slot", ...}; amounts are decimal text.
Json to_json(const Price&);
/// Throws IoError naming the key; the amount is between 0 and kMostUsdPerNodeHour.
Price price_from_json(const Json&);

}  // namespace regatta
