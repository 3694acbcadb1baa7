// Money against 128-bit arithmetic written differently, and against sums done by hand.
#include "common/money.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace regatta {
namespace {

using namespace std::chrono_literals;
__extension__ using Wide = __int128;

TEST(Money, ReadsDecimalTextExactly) {
  const std::vector<std::pair<std::string, std::int64_t>> cases = {
      {"0", 0},           {"3", 3'000'000'000},   {"0.08925", 89'250'000},   {"8.16499", 8'164'990'000},
      {"0.000000001", 1}, {"-0.5", -500'000'000}, {"007.10", 7'100'000'000}, {"9223372036.854775807", INT64_MAX},
  };
  for (const auto& [text, nano] : cases) {
    const auto amount = parse_usd(text);
    ASSERT_TRUE(amount) << text;
    EXPECT_EQ(amount->nano, nano) << text;
  }
}

TEST(Money, RefusesWhatIsNoAmount) {
  for (const char* text : {"",
                           "-",
                           ".",
                           "1.",
                           ".5",
                           "1e3",
                           "$1",
                           "1,5",
                           " 1",
                           "1 ",
                           "+1",
                           "--1",
                           "1.2.3",
                           "0x1",
                           "nan",
                           "inf",
                           "0.0000000001",
                           "9223372036.854775808",
                           "99999999999",
                           "1.-5",
                           "1.+5"})
    EXPECT_FALSE(parse_usd(text)) << text;
}

TEST(Money, WritesTheShortestExactDecimal) {
  const std::vector<std::pair<std::int64_t, std::string>> cases = {
      {0, "0"},
      {1, "0.000000001"},
      {89'250'000, "0.08925"},
      {3'000'000'000, "3"},
      {-1, "-0.000000001"},
      {-1'500'000'000, "-1.5"},
      {INT64_MAX, "9223372036.854775807"},
      {INT64_MIN, "-9223372036.854775808"},
  };
  for (const auto& [nano, text] : cases) EXPECT_EQ(to_decimal({nano}), text);
}

TEST(Money, SurvivesTheRoundTrip) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    const NanoUsd amount{static_cast<std::int64_t>(random()) >> (random() % 64)};
    if (amount.nano == INT64_MIN) continue;
    ASSERT_EQ(parse_usd(to_decimal(amount)), amount) << to_decimal(amount);
  }
}

TEST(CostOf, IsRateTimesTimeTimesShare) {
  // 0.1785 USD/h for 10 minutes: 0.02975
  EXPECT_EQ(cost_of(*parse_usd("0.1785"), 10min), *parse_usd("0.02975"));
  // 55.04 USD/h for a day on 3 nodes: 55.04 x 24 x 3 = 3962.88
  EXPECT_EQ(cost_of(*parse_usd("55.04"), 24h, 3), *parse_usd("3962.88"));
  // 3 of 8 slots of 2.856 for an hour: 1.071
  EXPECT_EQ(cost_of(*parse_usd("2.856"), 1h, 3, 8), *parse_usd("1.071"));
  EXPECT_EQ(cost_of(*parse_usd("2.856"), 0s, 3, 8), NanoUsd{});
}

TEST(CostOf, RoundsHalfToEvenOnce) {
  // 1 nano-dollar an hour: half an hour is half a nano
  const std::vector<std::pair<Duration, std::int64_t>> cases = {{30min, 0},       {30min + 1ns, 1}, {90min, 2},
                                                                {90min - 1ns, 1}, {150min, 2},      {150min + 1ns, 3}};
  for (const auto& [held, nano] : cases) EXPECT_EQ(cost_of({1}, held).nano, nano) << held.count();
  // Three thirds rounded at the end give the whole, not three times a rounded third.
  EXPECT_EQ(cost_of({100}, 1h, 3, 3).nano, 100);
  EXPECT_EQ(cost_of({100}, 20min, 3).nano, 100);
}

TEST(CostOf, RefusesWhatHasNoMeaning) {
  EXPECT_THROW(cost_of({1}, -1ns), std::logic_error);
  EXPECT_THROW(cost_of({-1}, 1s), std::logic_error);
  EXPECT_THROW(cost_of({1}, 1s, 1, 0), std::logic_error);
}

std::vector<std::int64_t> split(std::int64_t total, const std::vector<std::int64_t>& weights) {
  std::vector<std::int64_t> parts;
  for (const auto part : split_exactly({total}, weights)) parts.push_back(part.nano);
  return parts;
}

TEST(SplitExactly, ByHand) {
  using Parts = std::vector<std::int64_t>;
  EXPECT_EQ(split(100, {1, 1, 2}), (Parts{25, 25, 50}));
  EXPECT_EQ(split(10, {1, 1, 1}), (Parts{4, 3, 3}));  // a tie: the first
  EXPECT_EQ(split(5, {1, 2, 3}), (Parts{1, 2, 2}));   // 0.83, 1.67, 2.5: two left, for .83 and .67
  EXPECT_EQ(split(1, {1, 0, 5}), (Parts{0, 0, 1}));
  EXPECT_EQ(split(7, {0, 0, 0}), (Parts{0, 0, 7}));  // nothing to go by: the last
  EXPECT_EQ(split(0, {3, 4}), (Parts{0, 0}));
  EXPECT_EQ(split(INT64_MAX, {INT64_MAX}), (Parts{INT64_MAX}));
  EXPECT_EQ(split(INT64_MAX, {INT64_MAX, INT64_MAX}), (Parts{INT64_MAX / 2 + 1, INT64_MAX / 2}));
}

// Hamilton's method one nano at a time: whoever lies furthest below its quota gets the next.
TEST(SplitExactly, MatchesDealingOneByOne) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 5'000; ++round) {
    std::vector<std::int64_t> weights(1 + random() % 12);
    for (auto& weight : weights) weight = static_cast<std::int64_t>(random() % 1'000);
    const Wide sum = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
    if (sum == 0) continue;
    const auto total = static_cast<std::int64_t>(random() % 10'000);
    std::vector<std::int64_t> expected(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i)
      while (Wide(expected[i] + 1) * sum <= Wide(total) * weights[i]) ++expected[i];
    for (auto left = total - std::accumulate(expected.begin(), expected.end(), std::int64_t{0}); left > 0; --left) {
      std::size_t furthest = 0;
      const auto shortfall = [&](std::size_t i) { return Wide(total) * weights[i] - Wide(expected[i]) * sum; };
      for (std::size_t i = 1; i < weights.size(); ++i)
        if (shortfall(i) > shortfall(furthest)) furthest = i;
      ++expected[furthest];
    }
    ASSERT_EQ(split(total, weights), expected) << "round " << round;
  }
}

}  // namespace
}  // namespace regatta
