#pragma once
// Who was late in an epoch. Pure.

#include <optional>
#include <span>

#include "cluster/bill.hpp"
#include "common/records.hpp"
#include "worker/journal.hpp"

namespace regatta {

/// The ranks that the others waited for, from `straggler_wait` of each: a rank that is always last waits for nobody. At
/// most half of the ranks are late, and only what is no noise is named: the others waited at least a twentieth of the
/// epoch and a tenth of a second longer. `rows`: one a rank of an epoch of `wall_s` seconds. Without a price no cost.
std::optional<record::Stragglers> find_stragglers(std::span<const RankEpoch> rows, double wall_s,
                                                  const std::optional<Price>& price, const Holding& holding);

}  // namespace regatta
