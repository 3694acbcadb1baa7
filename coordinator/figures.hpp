#pragma once
// Figures as people read them. Machines get JSON and CSV with all digits.

#include <string>

#include "coordinator/statistics.hpp"

namespace regatta {

/// Three significant digits without an exponent: "5.61", "0.0000769", "10734". "-" for what is no number.
std::string figure(double value);
/// "$0.0000769", "$12.34": at least cents. "-" for what is no number.
std::string dollars(double value);
/// "5.61 +- 0.05"; the mean alone without bounds.
std::string with_spread(const Interval& interval);
/// "1.84x"
std::string times(double ratio);

}  // namespace regatta
