#include "common/yaml_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

std::string refusal(const std::string& text) {
  try {
    parse_yaml(text, "f");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

std::string remarks(const std::string& text) {
  std::string all;
  for (const auto& finding : parse_yaml(text, "f").findings.sorted()) all += finding.text() + "\n";
  return all;
}

TEST(YamlTree, KeepsTextPlaceAndQuotes) {
  const YamlFile file = parse_yaml("a: 1\nb:\n  - 'x'\n  - ~\nc: |\n  e\n", "f");
  const SourcePositions& at = file.findings.positions();
  EXPECT_EQ(file.root.find("a")->value.text, "1");
  EXPECT_FALSE(file.root.find("a")->value.quoted);
  EXPECT_TRUE(file.root.find("b")->value.items[0].quoted);
  EXPECT_EQ(file.root.find("c")->value.text, "e\n");
  EXPECT_TRUE(file.root.find("c")->value.quoted);
  EXPECT_EQ(file.root.find("b")->value.items[1].kind, YamlNode::Kind::kNull);
  EXPECT_EQ(file.root.find("zebra"), nullptr);
  EXPECT_EQ(at.at.at("b[1]"), std::pair(4, 5));
}

TEST(YamlTree, FindsDuplicatesAtEveryDepthWithTheFirstLine) {
  EXPECT_EQ(remarks("a: 1\nb: [{c: 1, d: 2, c: 3}]\na: 2\na: 3\n"),
            "f:2:18: b[0].c: key written twice (expected once, found it first at line 2)\n  remove one of the two\n"
            "f:3:1: a: key written twice (expected once, found it first at line 1)\n  remove one of the two\n"
            "f:4:1: a: key written twice (expected once, found it first at line 1)\n  remove one of the two\n");
}

TEST(YamlTree, RefusesWhatIsNoSingleYamlDocument) {
  EXPECT_THAT(refusal("a: [1\n"), testing::StartsWith("f:2:1: not YAML"));
  EXPECT_THAT(refusal("a: 'x\n"), testing::HasSubstr("not YAML"));
  EXPECT_THAT(refusal("a: \"x\nb: 1\n\n"), testing::HasSubstr("not YAML"));
  EXPECT_THAT(refusal("a: *b\n"), testing::StartsWith("f:1:4: not YAML"));
  EXPECT_THAT(refusal("a:\n\t- 1\n"),
              testing::StartsWith("f:2:1: not YAML (expected spaces before a key, found a tab)"));
  EXPECT_THAT(refusal("a: 1\n---\nb: 1\n"), testing::HasSubstr("expected one document"));
  EXPECT_EQ(refusal("---\na: 1\n...\n"), "accepted");
}

TEST(YamlTree, StaysWithinItsBounds) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(refusal(nested(kMaxYamlDepth)), "accepted");
  EXPECT_THAT(refusal(nested(kMaxYamlDepth + 1)), testing::HasSubstr("nested too deeply"));
  EXPECT_THAT(refusal(nested(400'000)), testing::HasSubstr("nested too deeply")) << "no stack is used up";
  EXPECT_THAT(refusal(std::string(kMaxYamlBytes + 1, ' ')), testing::HasSubstr("file too large"));
  std::string many = "[";
  for (std::size_t i = 0; i < kMaxYamlNodes; ++i) many += "1,";
  EXPECT_THAT(refusal(many + "1]"), testing::HasSubstr("too many values"));
}

TEST(YamlTree, BinaryJunkIsRefusedOrRead) {
  std::string junk;
  for (int i = 0; i < 4'096; ++i) junk += static_cast<char>((i * 2654435761U) >> 13);
  EXPECT_NO_THROW({
    try {
      parse_yaml(junk, "f");
    } catch (const ConfigError&) {
    }
  });
}

TEST(YamlFile, WhyItCannotBeReadIsSaid) {
  const test::TemporaryFolder folder;
  std::filesystem::create_symlink("loop", folder.path() / "loop");
  const std::pair<std::filesystem::path, std::string> cases[] = {
      {folder.path() / "none", "found nothing"},
      {folder.path(), "found a folder"},
      {folder.path() / "loop",
       "found Too many levels of symbolic links"}};  // and so with a folder that may not be read
  for (const auto& [path, words] : cases) {
    try {
      read_yaml_file(path, "job file");
      ADD_FAILURE() << path << " was read";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(words));
    }
  }
}

}  // namespace
}  // namespace regatta::test
