#pragma once
// A YAML file as it was written: nodes with their places and their text, before any typing. A strict subset: one
// document, no anchors, aliases or tags, bounded size and depth. yaml-cpp stays behind this header.

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/findings.hpp"

namespace regatta {

using Place = std::pair<int, int>;  ///< line and column from 1; (0, 0) for what --set wrote

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap, kAlias };  ///< an alias is kept to be refused
  Kind kind = Kind::kNull;
  Place place{0, 0};
  std::string text;                ///< scalar: as written, quotes removed
  bool quoted = false;             ///< scalar: in quotes or a block, so it is text even when it looks like a number
  std::vector<YamlNode> items;     ///< sequence
  std::vector<YamlEntry> entries;  ///< map, in file order, duplicates included

  /// The first entry with this key; null when there is none.
  const YamlEntry* find(std::string_view key) const;
  YamlEntry* find(std::string_view key);
};

struct YamlEntry {
  std::string key;
  Place place{0, 0};
  YamlNode value;
};

constexpr std::size_t kMaxYamlBytes = std::size_t{1} << 20;  // a job file of a thousand configurations has 100 KB
constexpr int kMaxYamlDepth = 32;                            // the schema needs 6
constexpr std::size_t kMaxYamlNodes = 100'000;

/// `train.batch=256` given as {"train.batch", "256"}: dotted path and YAML text.
using YamlOverride = std::pair<std::string, std::string>;

/// A tree and the findings made so far: duplicate keys, aliases, tags, overrides that fit nowhere.
struct YamlFile {
  YamlNode root;
  Findings findings;
};

/// Parses `text` and applies the overrides. A syntax error, a second document or a broken bound ends the reading:
/// throws ConfigError with line and column in `name`.
YamlFile parse_yaml(const std::string& text, const std::string& name, const std::vector<YamlOverride>& overrides = {});

/// The text of a file that a person wrote, at most kMaxYamlBytes. `what` names it: "job file". Throws ConfigError.
std::string read_yaml_file(const std::filesystem::path& path, const std::string& what);

/// "a map", "a list", "nothing", "\"adamm\"": what a message says it found.
std::string describe(const YamlNode& node);

}  // namespace regatta
