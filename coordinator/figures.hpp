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
/// "2 x 4"; with CPU ranks among them "2 GPU + 6 x 4", whose threads are theirs.
std::string ranks_by_threads(int ranks, int threads, int cpu_ranks);
/// "5.61 +- 0.05"; the mean alone without bounds.
std::string with_spread(const Interval& interval);
/// "1.84x"
std::string times(double ratio);
/// "0.0123 s" has too many digits for a person: "12.3 ms", "1.23 s", "2m 03s", "1h 02m 03s". NaN is "-".
std::string duration_text(double seconds);
/// "1.24 kJ"; "-" for what is no number or not known.
std::string energy_text(const std::optional<double>& joules);
/// "98.42 %"; "-" for nothing.
std::string percent_text(const std::optional<double>& fraction);

}  // namespace regatta
