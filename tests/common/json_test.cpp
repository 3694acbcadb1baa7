// What comes from outside fits its type, also inside lists, or is refused with its key.
#include "common/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace regatta {
namespace {

std::string refusal(const std::function<void()>& read) {
  try {
    read();
    return "accepted";
  } catch (const IoError& error) {
    return error.what();
  }
}

TEST(Json, IsNotNestedBeyondMeasure) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(parse_json(nested(64), "test").dump(), nested(64));
  EXPECT_EQ(refusal([&] { parse_json(nested(65), "test"); }),
            "test: expected at most 64 levels of brackets, found more");
  EXPECT_NE(refusal([&] { parse_json(nested(1'000'000), "test"); }), "accepted");
  const std::string brackets(100, '[');
  EXPECT_EQ(parse_json("{\"text\": \"\\\"" + brackets + "\"}", "test").at("text"), "\"" + brackets);
}

TEST(Json, ListsComeBackAtEveryDepth) {
  const Json json = parse_json(R"({"numbers": [1, -2], "lists": [[0, 1], []], "words": ["a"], "none": []})", "test");
  EXPECT_EQ(json_get<std::vector<int>>(json, "numbers"), (std::vector<int>{1, -2}));
  EXPECT_EQ(json_get<std::vector<std::vector<int>>>(json, "lists"), (std::vector<std::vector<int>>{{0, 1}, {}}));
  EXPECT_EQ(json_get<std::vector<std::string>>(json, "words"), std::vector<std::string>{"a"});
  EXPECT_TRUE(json_get<std::vector<int>>(json, "none").empty());
}

TEST(Json, ItemsOfAListMustFitAsNumbersDo) {
  for (const char* item : {"1.5", "true", "3000000000", "\"1\"", "null"}) {
    const Json json = parse_json(std::string(R"({"cores": [0, )") + item + "]}", "test");
    EXPECT_THAT(refusal([&] { json_get<std::vector<int>>(json, "cores"); }),
                testing::StartsWith("cores[1]: wrong type or range: " + std::string(item)));
  }
  const Json nested = parse_json(R"({"cores": [[0], [1, 1.5]], "map": {"0": 1}})", "test");
  EXPECT_THAT(refusal([&] { json_get<std::vector<std::vector<int>>>(nested, "cores"); }),
              testing::StartsWith("cores[1][1]: wrong type or range: 1.5"));
  EXPECT_THAT(refusal([&] { json_get<std::vector<int>>(nested, "map"); }), testing::HasSubstr("expected a list"));
  EXPECT_THAT(refusal([&] {
                json_get<std::vector<std::uint64_t>>(Json{{"n", {-1}}}, "n");
              }),
              testing::StartsWith("n[0]: wrong type or range: -1"));
}

TEST(Json, SecondsAreTimesThatAClockCanHaveCounted) {
  const Json json = parse_json(R"({"none": 0, "longest": 946728000, "negative": -1, "absurd": 1e300})", "test");
  EXPECT_EQ(json_seconds(json, "none"), 0);
  EXPECT_EQ(json_seconds(json, "longest"), kLongestSeconds);
  EXPECT_EQ(refusal([&] { json_seconds(json, "negative"); }),
            "negative: expected seconds from 0 to 30 years, found -1");
  EXPECT_THAT(refusal([&] { json_seconds(json, "absurd"); }), testing::HasSubstr("found 1e+300"));
}

TEST(Json, AmountsKeepTheirBounds) {
  const Json json{{"low", "-0.01"}, {"fine", "0.01"}, {"high", "2.000000001"}};
  const NanoUsd two = *parse_usd("2");
  EXPECT_EQ(json_usd(json, "fine", {}, two), *parse_usd("0.01"));
  EXPECT_EQ(refusal([&] { json_usd(json, "low", {}, two); }), "low: expected 0 to 2 USD, found -0.01");
  EXPECT_EQ(refusal([&] { json_usd(json, "high", {}, two); }), "high: expected 0 to 2 USD, found 2.000000001");
}

}  // namespace
}  // namespace regatta
