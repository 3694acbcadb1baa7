#pragma once
// A row of the comparison with the epochs behind it, so that another price can be tried on the same seconds.

#include <map>
#include <string>
#include <vector>

#include "cluster/bill.hpp"
#include "coordinator/comparison.hpp"

namespace regatta {

struct MeasuredRow {
  ComparisonRow row;
  Holding holding;
  std::vector<std::vector<double>> walls;  ///< by repeat, seconds of each epoch that counts
};

/// The row of one configuration. `repeats`: its runs, at least one.
MeasuredRow measure(const std::vector<const RunState*>& repeats, const std::map<std::string, NanoUsd>& reprice);

/// The epochs of a run that count: complete ones after the first of each attempt, which pays for warming up; the first
/// ones only where there are no others.
std::vector<const record::Epoch*> counted_epochs(const RunState& run);

/// Dollars per epoch if the row's pool cost `price`. Never falls when the price rises.
Interval epoch_cost(const MeasuredRow& row, const Price& price);

/// "done", not contended, and with a complete epoch: may win a verdict.
bool may_win(const ComparisonRow& row);

}  // namespace regatta
