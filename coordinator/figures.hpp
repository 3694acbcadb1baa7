#pragma once
// Figures as people read them. Machines get JSON and CSV with all digits.

#include <optional>
#include <string>

#include "common/money.hpp"
#include "coordinator/statistics.hpp"

namespace regatta {

/// Three significant digits without an exponent: "5.61", "0.0000769", "10734". "-" for what is no number.
std::string figure(double value);
/// "$0.0000769", "$12.34": three significant digits, at least cents. "-" for what is no number or not known.
std::string dollars(double usd);
std::string dollars(NanoUsd amount);
std::string dollars(const std::optional<NanoUsd>& amount);
/// "5.61 +- 0.05"; the mean alone without bounds.
std::string with_spread(const Interval& interval);
/// "1.84x"
std::string times(double ratio);

}  // namespace regatta
