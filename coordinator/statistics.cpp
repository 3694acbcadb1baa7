#include "coordinator/statistics.hpp"

#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>

namespace regatta {

namespace {
constexpr double kUpperQuantile = 0.975;  // two sides of 2.5 % each leave 95 %
constexpr std::size_t kFewest = 3;        // two values give a factor of 12.7: an interval that says nothing
}  // namespace

Interval t_interval(std::span<const double> values) {
  if (values.empty()) return {.mean = std::numeric_limits<double>::quiet_NaN()};
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  if (values.size() < kFewest) return {.mean = mean};
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double quantile = boost::math::quantile(boost::math::students_t(count - 1), kUpperQuantile);
  const double half = quantile * std::sqrt(squares / (count - 1) / count);
  return {.mean = mean, .low = mean - half, .high = mean + half};
}

bool clearly_below(const Interval& a, const Interval& b) {
  return a.high && b.low && *a.high < *b.low;
}

}  // namespace regatta
