#include "common/price.hpp"

#include "common/enum_text.hpp"

namespace regatta {

namespace {
constexpr EnumText<Billing, 2> kBilling{{{{Billing::kNode, "node"}, {Billing::kSlot, "slot"}}}};
constexpr EnumText<Market, 4> kMarket{{{{Market::kOnDemand, "on_demand"},
                                        {Market::kSpot, "spot"},
                                        {Market::kReserved, "reserved"},
                                        {Market::kOwned, "owned"}}}};
constexpr EnumText<FigureKind, 3> kKind{
    {{{FigureKind::kMeasured, "measured"}, {FigureKind::kEstimated, "estimated"}, {FigureKind::kAssumed, "assumed"}}}};
}  // namespace

const char* to_text(Billing billing) {
  return kBilling.text(billing);
}
const char* to_text(Market market) {
  return kMarket.text(market);
}
const char* to_text(FigureKind kind) {
  return kKind.text(kind);
}

Json to_json(const Price& price) {
  return {{"usd_per_node_hour", to_decimal(price.usd_per_node_hour)},
          {"billing", to_text(price.billing)},
          {"market", to_text(price.market)},
          {"region", price.region},
          {"source", price.source},
          {"date", price.date},
          {"kind", to_text(price.kind)}};
}

Price price_from_json(const Json& json) {
  return {.usd_per_node_hour = json_usd(json, "usd_per_node_hour", {}, kMostUsdPerNodeHour),
          .billing = kBilling.from_json(json, "billing"),
          .market = kMarket.from_json(json, "market"),
          .region = json_get<std::string>(json, "region"),
          .source = json_get<std::string>(json, "source"),
          .date = json_get<std::string>(json, "date"),
          .kind = kKind.from_json(json, "kind")};
}

}  // namespace regatta
