#include "coordinator/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace regatta {
namespace {

/// t(0.975, df) from the table in NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
struct TableEntry {
  int degrees;
  double t;
};
constexpr TableEntry kTable[] = {{2, 4.303}, {3, 3.182},  {4, 2.776},  {5, 2.571}, {7, 2.365},
                                 {9, 2.262}, {19, 2.093}, {29, 2.045}, {99, 1.984}};

/// Half are -1, half are +1 (and one 0 for an odd count): the standard deviation is known in closed form.
std::vector<double> symmetric_values(int count) {
  std::vector<double> values;
  for (int i = 0; i < count / 2; ++i) values.insert(values.end(), {-1, 1});
  if (count % 2 == 1) values.push_back(0);
  return values;
}

TEST(TInterval, MatchesPublishedQuantiles) {
  for (const auto& [degrees, t] : kTable) {
    const int count = degrees + 1;
    const int pairs = count / 2;  // an odd count has its middle at the mean
    const double deviation = std::sqrt(2.0 * pairs / degrees);
    const Interval interval = t_interval(symmetric_values(count));
    EXPECT_NEAR(interval.mean, 0, 1e-12);
    EXPECT_NEAR(*interval.high * std::sqrt(count) / deviation, t, 0.0005) << degrees << " degrees of freedom";
    EXPECT_NEAR(*interval.low, -*interval.high, 1e-12);
  }
}

TEST(TInterval, HasNoBoundsBelowThreeValues) {
  EXPECT_TRUE(std::isnan(t_interval({}).mean));
  for (const std::vector<double>& few : {std::vector<double>{}, {5}, {5, 7}}) {
    EXPECT_FALSE(t_interval(few).low) << few.size();
    EXPECT_FALSE(t_interval(few).high) << few.size();
  }
  EXPECT_DOUBLE_EQ(t_interval(std::vector<double>{5, 7}).mean, 6);
}

TEST(TInterval, OfEqualValuesIsAPoint) {
  const Interval interval = t_interval(std::vector<double>{3, 3, 3, 3});
  EXPECT_DOUBLE_EQ(*interval.low, 3);
  EXPECT_DOUBLE_EQ(*interval.high, 3);
}

TEST(ClearlyBelow, NeedsBoundsThatDoNotTouch) {
  const Interval low{.mean = 1, .low = 0.5, .high = 1.5}, high{.mean = 2, .low = 1.6, .high = 2.4};
  const Interval touching{.mean = 2, .low = 1.5, .high = 2.5}, unknown{.mean = 9};
  EXPECT_TRUE(clearly_below(low, high));
  EXPECT_FALSE(clearly_below(high, low));
  EXPECT_FALSE(clearly_below(low, touching));
  EXPECT_FALSE(clearly_below(low, unknown));
  EXPECT_FALSE(clearly_below(unknown, high));
}

}  // namespace
}  // namespace regatta
