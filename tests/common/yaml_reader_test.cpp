#include "common/yaml_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace regatta::test {
namespace {

enum class Colour { kRed, kGreen };
constexpr EnumText<Colour, 2> kColours{{{{Colour::kRed, "red"}, {Colour::kGreen, "green"}}}};

/// Reads `text` and returns its findings, one a line.
std::string problems(const std::string& text, const YamlMap::Read& read) {
  YamlFile file = parse_yaml(text, "f");
  read_map(file, read);
  std::string all;
  for (const auto& finding : file.findings.sorted()) all += finding.text() + "\n";
  return all;
}

TEST(YamlReader, LeavesTargetsAloneWhereTheFileIsSilentOrWrong) {
  int small = 7;
  double number = 1.5;
  Colour colour = Colour::kGreen;
  std::vector<std::int64_t> list{1, 2};
  const std::string found = problems("small: x\nlist: [3, y]\ncolour: blue\n", [&](YamlMap& map) {
    map.integer("small", small);
    map.number("number", number);
    map.integers("list", list);
    map.word("colour", "colour", colour, kColours);
  });
  EXPECT_EQ(small, 7);
  EXPECT_EQ(number, 1.5);
  EXPECT_EQ(colour, Colour::kGreen);
  EXPECT_THAT(list, testing::ElementsAre(1, 2));
  EXPECT_THAT(found, testing::HasSubstr("f:1:1: small: wrong type or form (expected an integer, found \"x\")"));
  EXPECT_THAT(found, testing::HasSubstr("f:2:11: list[1]: wrong type or form (expected integers, found \"y\")"));
  EXPECT_THAT(found, testing::HasSubstr("f:3:1: colour: unknown colour \"blue\"\n  known: green, red\n"));
}

TEST(YamlReader, ReadsOptionalsAndTheWordForTheirAbsence) {
  std::optional<std::int64_t> count = 3;
  std::optional<double> norm = 2;
  std::optional<NanoUsd> cost;
  const std::string found = problems("count: auto\nnorm: none\ncost: 0.000000001\n", [&](YamlMap& map) {
    map.integer("count", count, "auto").at_least(1);
    map.number("norm", norm).at_least(0);
    map.usd("cost", cost).above(0);
  });
  EXPECT_FALSE(count);
  EXPECT_EQ(norm, 2) << "none is no word of this key";
  EXPECT_EQ(cost, NanoUsd{1});
  EXPECT_EQ(found, "f:2:1: norm: wrong type or form (expected a number, found \"none\")\n  write a number\n");
}

TEST(YamlReader, BoundsHoldExactlyAtTheirEdges) {
  std::uint64_t big = 0;
  double number = 0;
  const auto bad = [&](const char* value, auto bound) {
    return !problems(std::string("x: ") + value, [&](YamlMap& map) { bound(map.number("x", number)); }).empty();
  };
  EXPECT_FALSE(bad("1", [](YamlField field) { field.at_least(1); }));
  EXPECT_TRUE(bad("0.999", [](YamlField field) { field.at_least(1); }));
  EXPECT_TRUE(bad("1", [](YamlField field) { field.above(1); }));
  EXPECT_FALSE(bad("1", [](YamlField field) { field.at_most(1); }));
  EXPECT_TRUE(bad("1.001", [](YamlField field) { field.at_most(1); }));
  EXPECT_TRUE(bad("1", [](YamlField field) { field.below(1); }));
  const std::string most = problems("x: 18446744073709551615", [&](YamlMap& map) {
    map.integer("x", big).at_most(18446744073709551614.0L);  // one less: doubles could not tell
  });
  EXPECT_EQ(big, 18446744073709551615U);
  EXPECT_FALSE(most.empty());
}

TEST(YamlReader, AnUnknownKeyIsOfferedTheNearestOne) {
  const auto advice = [](const char* key) {
    return problems(std::string(key) + ": 1", [](YamlMap& map) {
      double ignored = 0;
      for (const char* known : {"momentum", "lr", "eps", "batch"}) map.number(known, ignored);
    });
  };
  EXPECT_THAT(advice("momentun"), testing::HasSubstr("Did you mean \"momentum\"?"));
  EXPECT_THAT(advice("btach"), testing::HasSubstr("Did you mean \"batch\"?")) << "neighbours swapped";
  EXPECT_THAT(advice("esp"), testing::HasSubstr("Did you mean \"eps\"?"));
  EXPECT_THAT(advice("xyz"), testing::Not(testing::HasSubstr("Did you mean")));
  EXPECT_THAT(advice("colour"), testing::HasSubstr("known: batch, eps, lr, momentum\n"));
}

TEST(YamlReader, AMisspeltKeyIsNotAlsoMissing) {
  int batch = 0;
  const auto read = [&](YamlMap& map) {
    map.integer("batch", batch).required("write batch: 1");
    map.integer("seed", batch);
  };
  EXPECT_THAT(problems("bach: 1", read), testing::Not(testing::HasSubstr("missing")));
  EXPECT_THAT(problems("sed: 1", read),
              testing::HasSubstr("f:1:1: batch: missing (expected an integer, found nothing)"));
}

TEST(YamlReader, SectionsAndListsKnowTheirPaths) {
  const std::string found = problems("a:\n  - {b: {c: x}}\n  - 3\nd: 1\n", [](YamlMap& map) {
    map.list("a", [](YamlMap& item, std::size_t) {
      item.section("b", [](YamlMap& below) {
        int c = 0;
        below.integer("c", c);
      });
    });
    map.section("d", [](YamlMap&) { FAIL() << "d is no map"; });
  });
  EXPECT_THAT(found, testing::HasSubstr("f:2:10: a[0].b.c: "));
  EXPECT_THAT(found, testing::HasSubstr("f:3:5: a[1]: wrong type or form (expected a map, found \"3\")"));
  EXPECT_THAT(found, testing::HasSubstr("f:4:1: d: wrong type or form (expected a map, found \"1\")"));
}

TEST(YamlReader, FindingsAreCountedBeyondTheFirstTwoHundred) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "k" + std::to_string(i) + ": 1\n";
  YamlFile file = parse_yaml(text, "f");
  read_map(file, [](YamlMap&) {});
  const auto found = file.findings.sorted();
  ASSERT_EQ(found.size(), 201U);
  EXPECT_EQ(found.back().message, "and 100 more");
  EXPECT_EQ(found[199].line, 200);
}

TEST(PlainName, IsSafeInPathsAndCommandLines) {
  for (const char* good : {"a", "one-core", "A_1.b", "0"}) EXPECT_TRUE(is_plain_name(good)) << good;
  for (const char* bad : {"", ".", "..", ".a", "-a", "a/b", "a b", "a\n", "\xc3\xa9"})
    EXPECT_FALSE(is_plain_name(bad)) << bad;
  EXPECT_TRUE(is_plain_name(std::string(64, 'a')));
  EXPECT_FALSE(is_plain_name(std::string(65, 'a')));
}

}  // namespace
}  // namespace regatta::test
