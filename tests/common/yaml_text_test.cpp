#include "common/yaml_text.hpp"

#include <gtest/gtest.h>

namespace regatta::test {
namespace {

/// The tree alone, without places.
std::string shape(const YamlNode& node) {
  std::string text = std::to_string(static_cast<int>(node.kind)) + (node.quoted ? "'" : "") + node.text + "(";
  for (const auto& item : node.items) text += shape(item) + ",";
  for (const auto& entry : node.entries) text += entry.key + ":" + shape(entry.value) + ",";
  return text + ")";
}

TEST(YamlText, ReadsBackAsTheSameTree) {
  for (const char* text : {"a: 1\nb:\n  - 'x'\n  - ~\nc: |\n  e\n", "'1': '2'\n'a: b': \"#no comment\"\nz: []\ny: {}\n",
                           "a: 'true'\nb: true\nc: '~'\nd: ''\ne: \"\\x07 tab\\t\"\n", "[1, [2, {a: 0x10}], é]", "~"}) {
    const YamlNode before = parse_yaml(text, "f").root;
    EXPECT_EQ(shape(parse_yaml(to_yaml(before), "g").root), shape(before)) << to_yaml(before);
  }
}

TEST(YamlText, HoldsWhatSetWrote) {
  const YamlNode changed =
      parse_yaml("a: {b: 1, c: [1, 2]}\n", "f", {{"a.b", "x y"}, {"a.c[1]", "{d: 3}"}, {"e", "4"}}).root;
  EXPECT_EQ(shape(parse_yaml(to_yaml(changed), "g").root),
            shape(parse_yaml("a: {b: x y, c: [1, {d: 3}]}\ne: 4\n", "h").root));
}

}  // namespace
}  // namespace regatta::test
