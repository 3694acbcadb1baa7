#pragma once
// Ranks that the others waited for, for people: who, how long, what it cost. Pure.

#include <optional>
#include <string>
#include <vector>

#include "cluster/bill.hpp"
#include "coordinator/state.hpp"

namespace regatta {

/// "rank 2 on n3"
std::string straggler_names(const record::Stragglers& stragglers);

/// "the others waited 1.93 s an epoch for rank 2 on n3 (in 3 of 4 epochs), which cost $0.0000123 an epoch"; of those
/// that cost most, where epochs had others. Empty where nobody was late. Without a price no cost.
std::string straggler_sentence(const std::vector<const record::Epoch*>& epochs, const std::optional<Price>& price,
                               const Holding& holding);

}  // namespace regatta
