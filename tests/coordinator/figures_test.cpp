#include "coordinator/figures.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace regatta {
namespace {

TEST(Figures, DollarsKeepThreeDigitsAndCents) {
  const std::pair<const char*, const char*> cases[] = {
      {"0", "$0.00"},         {"0.000000001", "$0.000000001"}, {"0.000213456", "$0.000213"},
      {"0.08925", "$0.0893"}, {"0.99999", "$1.000"},           {"1.239", "$1.24"},
      {"12.3456", "$12.35"},  {"1234.5", "$1234.50"},          {"63.296", "$63.30"},
      {"-0.5", "-$0.500"}};
  for (const auto& [amount, text] : cases) EXPECT_EQ(dollars(*parse_usd(amount)), text) << amount;
  EXPECT_EQ(dollars(0.0000769), "$0.0000769");
  EXPECT_EQ(dollars(std::nan("")), "-");
  EXPECT_EQ(dollars(std::optional<NanoUsd>()), "-");
}

TEST(Figures, ReadWell) {
  EXPECT_EQ(figure(5.6123), "5.61");
  EXPECT_EQ(figure(10734.4), "10734");
  EXPECT_EQ(figure(0.00012345), "0.000123");
  EXPECT_EQ(figure(0), "0.00");
  EXPECT_EQ(figure(std::nan("")), "-");
  EXPECT_EQ(times(1.8387), "1.84x");
  EXPECT_EQ(ranks_by_threads(2, 4, 0), "2 x 4");
  EXPECT_EQ(ranks_by_threads(8, 4, 6), "2 GPU + 6 x 4");
  EXPECT_EQ(with_spread({.mean = 5.6123, .low = 5.56, .high = 5.66}), "5.61 +- 0.05");
  EXPECT_EQ(with_spread({.mean = 5.6123, .low = 5.6118, .high = 5.6128}), "5.6123 +- 0.0005");
  EXPECT_EQ(with_spread({.mean = 5.6123}), "5.61");
}

TEST(Figures, DurationsInUnitsOfAPerson) {
  const std::pair<double, const char*> cases[] = {{0.0123, "12.3 ms"}, {1.234, "1.23 s"},    {45.67, "45.7 s"},
                                                  {123, "2m 03s"},     {3723, "1h 02m 03s"}, {99.96, "1m 40s"}};
  for (const auto& [seconds, text] : cases) EXPECT_EQ(duration_text(seconds), text);
  EXPECT_EQ(duration_text(std::numeric_limits<double>::quiet_NaN()), "-");
}

TEST(Figures, Percent) {
  EXPECT_EQ(percent_text(0.98421), "98.42 %");
  EXPECT_EQ(percent_text({}), "-");
}

}  // namespace
}  // namespace regatta
