#include "common/time.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "common/error.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;
Timestamp stamp_at(std::int64_t microseconds) {
  return Timestamp(std::chrono::microseconds(microseconds));
}

TEST(Timestamp, KnownInstants) {
  // seconds since 1970 as `date -u +%s` gives them
  EXPECT_EQ(to_text(stamp_at(0)), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(to_text(stamp_at(1751371200'000000)), "2025-07-01T12:00:00.000000Z");
  EXPECT_EQ(to_text(stamp_at(1709251199'999999)), "2024-02-29T23:59:59.999999Z");
  EXPECT_EQ(to_text(stamp_at(-1)), "1969-12-31T23:59:59.999999Z");
}

TEST(Timestamp, SurvivesTheRoundTrip) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2'000; ++i) {
    const auto stamp = stamp_at(static_cast<std::int64_t>(random() % 253'402'300'800'000'000));  // to the end of 9999
    ASSERT_EQ(parse_timestamp(to_text(stamp)), stamp) << to_text(stamp);
  }
}

TEST(Timestamp, RefusesEveryOtherForm) {
  for (const char* text : {"",
                           "2025-07-01",
                           "2025-07-01T12:00:00Z",
                           "2025-07-01T12:00:00.000Z",
                           "2025-07-01 12:00:00.000000Z",
                           "2025-07-01T12:00:00.000000",
                           "2025-07-01T12:00:00.000000+",
                           "2025-07-01T12:00:00.000000Z ",
                           " 025-07-01T12:00:00.000000Z",
                           "2025- 7-01T12:00:00.000000Z",
                           "+025-07-01T12:00:00.000000Z",
                           "2025-02-29T12:00:00.000000Z",
                           "2025-13-01T12:00:00.000000Z",
                           "2025-00-01T12:00:00.000000Z",
                           "2025-07-01T24:00:00.000000Z",
                           "2025-07-01T12:60:00.000000Z",
                           "2025-07-01T12:00:60.000000Z",
                           "2025-07-01T12:00:00.-00001Z",
                           "2025-07-01T12:00:00.00000xZ",
                           "2025-07-01t12:00:00.000000z"}) {
    try {
      parse_timestamp(text);
      ADD_FAILURE() << "accepted " << text;
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(text));
    }
  }
}

TEST(Seconds, RoundToTheNanosecond) {
  EXPECT_EQ(from_seconds(1.5), 1500ms);
  EXPECT_EQ(from_seconds(0.0000000006), 1ns);
  EXPECT_EQ(from_seconds(-2), -2s);
  EXPECT_DOUBLE_EQ(seconds(1500ms), 1.5);
  EXPECT_THROW(from_seconds(std::numeric_limits<double>::quiet_NaN()), std::logic_error);
  EXPECT_THROW(from_seconds(1e10), std::logic_error);
}

}  // namespace
}  // namespace regatta
