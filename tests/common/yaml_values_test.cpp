#include "common/yaml_values.hpp"

#include <gtest/gtest.h>

#include <string>

namespace regatta::test {
namespace {

TEST(YamlValues, DurationsAreSecondsWithAUnit) {
  const std::pair<const char*, double> good[] = {{"90", 90},     {"5s", 5},      {"2m", 120}, {"1h", 3600},
                                                 {"1.5h", 5400}, {"0.1 s", 0.1}, {"0", 0}};
  for (const auto& [text, seconds] : good) {
    ASSERT_TRUE(parse_duration(text)) << text;
    EXPECT_DOUBLE_EQ(*parse_duration(text), seconds) << text;
  }
  for (const char* bad : {"", "s", "5min", "5 h 3 m", "-1", "nan", "inf", "1e400", "9999999h", "5  s", "5s "})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(YamlValues, BytesHaveBinaryUnits) {
  const std::pair<const char*, std::int64_t> good[] = {{"4096", 4096},           {"1B", 1},
                                                       {"1KiB", 1024},           {"512MiB", 536'870'912},
                                                       {"2 GiB", 2'147'483'648}, {"1TiB", 1LL << 40}};
  for (const auto& [text, bytes] : good) EXPECT_EQ(parse_bytes(text), bytes) << text;
  for (const char* bad : {"", "GiB", "2GB", "1.5GiB", "-1", "9999999TiB", "99999999999999999999"})
    EXPECT_FALSE(parse_bytes(bad)) << bad;
}

TEST(YamlValues, NumbersAreTheWholeText) {
  EXPECT_EQ(parse_integer("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(parse_unsigned("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_number("1e-8"), 1e-8);
  EXPECT_EQ(parse_flag("true"), true);
  for (const char* bad : {"", " 1", "1 ", "1_000", "0x10", "1e3", "+1", "9223372036854775808"})
    EXPECT_FALSE(parse_integer(bad)) << bad;
  for (const char* bad : {"", "nan", "inf", ".inf", "1,5", "1.5x", "1e999"}) EXPECT_FALSE(parse_number(bad)) << bad;
  for (const char* bad : {"", "True", "yes", "1"}) EXPECT_FALSE(parse_flag(bad)) << bad;
}

TEST(YamlValues, Utf8IsCheckedToTheByte) {
  for (const char* good :
       {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\xa3", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"})
    EXPECT_FALSE(find_bad_utf8(good)) << good;
  for (const char* bad : {"ab\xbe", "ab\xc3", "ab\xc0\x80", "ab\xe0\x80\x80", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80",
                          "ab\xff\xfe", "ab\xe2\x82 "})
    EXPECT_EQ(find_bad_utf8(bad), 2U) << bad;
}

}  // namespace
}  // namespace regatta::test
