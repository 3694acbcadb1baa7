#pragma once
// The bill of a run from what its attempts recorded: used when a run ends and when a comparison reprices it.

#include "cluster/bill.hpp"
#include "common/price.hpp"
#include "coordinator/state.hpp"

namespace regatta {

/// Every attempt's held seconds at `price`; an attempt whose end is unknown bills nothing yet. Pure.
Bill run_bill(const RunState& run, const Price& price);

}  // namespace regatta
