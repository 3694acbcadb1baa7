#pragma once
// Intervals and what they allow one to say.

#include <optional>
#include <span>

namespace regatta {

struct Interval {
  double mean = 0;
  std::optional<double> low, high;  ///< nothing below three values
};

/// 95 % two-sided Student t interval of the mean: mean +- t(0.975, n-1) s / sqrt(n). Mean NaN for no values.
Interval t_interval(std::span<const double> values);

/// Both have bounds and they do not overlap.
bool clearly_below(const Interval& a, const Interval& b);

}  // namespace regatta
