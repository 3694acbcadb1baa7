#pragma once
// The words of the cluster file and of the price book.

#include "cluster/spec.hpp"
#include "common/enum_text.hpp"

namespace regatta {

inline constexpr const char* kHere = "here";  // the pool that is this machine when there is no cluster file

inline constexpr std::int64_t kMostUsd = kMostUsdPerNodeHour.nano / 1'000'000'000;  // as the files' bounds are written

inline constexpr EnumText<LauncherKind, 3> kLauncherKinds{
    {{{LauncherKind::kLocal, "local"}, {LauncherKind::kSsh, "ssh"}, {LauncherKind::kSlurm, "slurm"}}}};
inline constexpr EnumText<Billing, 2> kBillings{{{{Billing::kNode, "node"}, {Billing::kSlot, "slot"}}}};
inline constexpr EnumText<Market, 4> kMarkets{{{{Market::kOnDemand, "on_demand"},
                                                {Market::kSpot, "spot"},
                                                {Market::kReserved, "reserved"},
                                                {Market::kOwned, "owned"}}}};

}  // namespace regatta
