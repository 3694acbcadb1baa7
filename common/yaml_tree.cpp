// The tree is built from yaml-cpp's events rather than from YAML::Node: events carry every place and every alias, keep
// duplicate keys apart, and let the bounds hold while the text is parsed.

#include "common/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <sstream>

#include "common/files.hpp"
#include "common/yaml_values.hpp"

namespace regatta {

namespace {

Place place_of(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1};
}

[[noreturn]] void refuse(const std::string& name, Place place, const std::string& message, const std::string& advice) {
  throw ConfigError(std::vector<Diagnostic>{{name, place.first, place.second, message, advice}});
}

[[noreturn]] void refuse_size(const std::string& name, std::size_t bytes) {
  refuse(name, {0, 0},
         "file too large (expected at most " + std::to_string(kMaxYamlBytes) + " bytes, found " +
             std::to_string(bytes) + ")",
         "this is no job or cluster file; is the path right?");
}

/// Something that has no place in our subset, but does not stop the reading.
struct Remark {
  Place place;
  std::string message, advice;
};

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string name) : name_(std::move(name)) {}

  YamlNode root;
  std::vector<Remark> remarks;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add({.place = place_of(mark)}); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    add({.kind = YamlNode::Kind::kAlias, .place = place_of(mark)});
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    note_tag(mark, tag);
    add({.kind = YamlNode::Kind::kScalar, .place = place_of(mark), .text = value, .quoted = tag == "!"});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    note_tag(mark, tag);
    open({.kind = YamlNode::Kind::kSequence, .place = place_of(mark)});
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    note_tag(mark, tag);
    open({.kind = YamlNode::Kind::kMap, .place = place_of(mark)});
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    YamlNode node;
    std::optional<YamlNode> key;  // a map's key that waits for its value
  };

  void note_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    remarks.push_back({place_of(mark), "tags are not read (expected a plain value, found the tag " + tag + ")",
                       "remove the tag; the schema says what type a key has"});
  }
  void open(YamlNode node) {
    if (levels_.size() >= static_cast<std::size_t>(kMaxYamlDepth))
      refuse(name_, node.place,
             "nested too deeply (expected at most " + std::to_string(kMaxYamlDepth) + " levels, found more)",
             "the schema needs 6 levels; look for a stray bracket");
    levels_.push_back({std::move(node), {}});
  }
  void close() {
    YamlNode node = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(node));
  }
  void add(YamlNode node) {
    if (++nodes_ > kMaxYamlNodes)
      refuse(name_, node.place, "too many values (expected at most " + std::to_string(kMaxYamlNodes) + ")",
             "this is no job or cluster file");
    if (levels_.empty()) {
      root = std::move(node);
    } else if (Level& level = levels_.back(); level.node.kind == YamlNode::Kind::kSequence) {
      level.node.items.push_back(std::move(node));
    } else if (!level.key) {
      level.key = std::move(node);
    } else {
      add_entry(level, std::move(node));
    }
  }
  void add_entry(Level& level, YamlNode value) {
    const YamlNode key = std::move(*level.key);
    level.key.reset();
    if (key.kind == YamlNode::Kind::kScalar)
      level.node.entries.push_back({key.text, key.place, std::move(value)});
    else
      remarks.push_back({key.place, "a key must be a word (expected text, found " + describe(key) + ")",
                         "write KEY: VALUE; a text that starts with a bracket needs quotes"});
  }

  std::string name_;
  std::vector<Level> levels_;
  std::size_t nodes_ = 0;
};

/// The parser's own word for a tab in the indentation is about what follows it.
void refuse_tabs(const std::string& text, const std::string& name, int last_line) {
  std::istringstream stream(text);
  std::string line;
  for (int number = 1; number <= last_line && std::getline(stream, line); ++number) {
    const auto column = line.find_first_not_of(' ');
    if (column != std::string::npos && line[column] == '\t')
      refuse(name, {number, static_cast<int>(column) + 1}, "not YAML (expected spaces before a key, found a tab)",
             "indent with spaces");
  }
}

struct Parsed {
  YamlNode root;
  std::vector<Remark> remarks;
};

void refuse_other_encodings(const std::string& text, const std::string& name) {
  const auto bad = find_bad_utf8(text);
  if (!bad) return;
  const auto line_start = text.find_last_of('\n', *bad) + 1;  // npos + 1 is 0: the first line
  const auto line = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(*bad), '\n') + 1;
  refuse(name, {static_cast<int>(line), static_cast<int>(*bad - line_start) + 1},
         "not UTF-8 (expected UTF-8 text, found byte " + std::to_string(static_cast<unsigned char>(text[*bad])) + ")",
         "save the file as UTF-8");
}

Parsed parse(const std::string& text, const std::string& name) {
  refuse_other_encodings(text, name);
  TreeBuilder builder(name);
  try {
    // yaml-cpp 0.7 takes the end of the file for a closing quote when a newline comes right before it.
    std::istringstream stream(text + (text.ends_with('\n') ? "#" : "\n#"));
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    TreeBuilder second(name);
    if (parser.HandleNextDocument(second))
      refuse(name, second.root.place, "a second document begins (expected one document, found a line with ---)",
             "split the file, one document a file");
  } catch (const YAML::Exception& error) {
    refuse_tabs(text, name, error.mark.line + 1);
    refuse(name, place_of(error.mark), "not YAML: " + error.msg,
           "look at this line and the one before: indentation, brackets, quotes, a space after each colon");
  }
  return {std::move(builder.root), std::move(builder.remarks)};
}

/// Every written path with its place: keys stand where the key stands, list items where they begin.
void index_places(const YamlNode& node, const std::string& path, SourcePositions& positions) {
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const std::string below = path + "[" + std::to_string(i) + "]";
    positions.at.emplace(below, node.items[i].place);
    index_places(node.items[i], below, positions);
  }
  for (const auto& entry : node.entries) {
    const std::string below = path.empty() ? entry.key : path + "." + entry.key;
    if (positions.at.emplace(below, entry.place).second) index_places(entry.value, below, positions);
  }
}

void find_duplicates(const YamlNode& node, const std::string& path, Findings& findings) {
  std::map<std::string, Place> first;
  for (const auto& entry : node.entries) {
    const std::string below = path.empty() ? entry.key : path + "." + entry.key;
    const auto [seen, is_new] = first.emplace(entry.key, entry.place);
    if (!is_new)
      findings.add_at(
          entry.place, below,
          "key written twice (expected once, found it first at line " + std::to_string(seen->second.first) + ")",
          "remove one of the two");
    else
      find_duplicates(entry.value, below, findings);
  }
  for (std::size_t i = 0; i < node.items.size(); ++i)
    find_duplicates(node.items[i], path + "[" + std::to_string(i) + "]", findings);
}

/// What --set wrote stands nowhere in the file.
void forget_places(YamlNode& node) {
  node.place = {0, 0};
  for (auto& item : node.items) forget_places(item);
  for (auto& entry : node.entries) {
    entry.place = {0, 0};
    forget_places(entry.value);
  }
}

/// The node at one part of a dotted path, "batch" or "configurations[1]"; maps are made as needed. Null when it cannot
/// be: `problem` then says why.
YamlNode* descend(YamlNode& node, const std::string& part, std::string& problem) {
  const auto bracket = part.find('[');
  const std::string key = part.substr(0, bracket);
  if (node.kind == YamlNode::Kind::kNull) node.kind = YamlNode::Kind::kMap;
  if (node.kind != YamlNode::Kind::kMap || key.empty()) {
    problem = "expected a key below a map, found \"" + part + "\" below " + describe(node);
    return nullptr;
  }
  YamlEntry* entry = node.find(key);
  if (entry == nullptr) entry = &node.entries.emplace_back(YamlEntry{.key = key});
  if (bracket == std::string::npos) return &entry->value;
  std::size_t index = 0;
  const char* begin = part.data() + bracket + 1;
  const char* end = part.data() + part.size();
  const auto [stop, error] = std::from_chars(begin, end, index);
  const std::size_t size = entry->value.items.size();
  if (error != std::errc() || stop != end - 1 || *stop != ']' || index >= size) {
    problem = "expected an index below " + std::to_string(size) + " in brackets, found \"" + part + "\"";
    return nullptr;
  }
  return &entry->value.items[index];
}

/// What is wrong with the override, if anything is.
std::optional<std::string> apply(YamlNode& root, const YamlOverride& change) {
  YamlNode* node = &root;
  std::istringstream parts(change.first);
  std::string problem;
  for (std::string part; node != nullptr && std::getline(parts, part, '.');) node = descend(*node, part, problem);
  if (node == nullptr || change.first.empty())
    return change.first.empty() ? "expected a dotted path, found nothing" : problem;
  try {
    Parsed parsed = parse(change.second, "--set " + change.first);
    if (!parsed.remarks.empty()) return parsed.remarks.front().message;
    forget_places(parsed.root);
    *node = std::move(parsed.root);
  } catch (const ConfigError& error) {
    return error.diagnostics().front().message;
  }
  return {};
}

/// A key whose value --set replaced is reported as --set, not at its old line.
void forget_place(YamlNode& root, const std::string& path) {
  const auto dot = path.find_last_of('.');
  YamlNode* above = &root;
  std::string ignored;
  if (dot != std::string::npos) {
    std::istringstream parts(path.substr(0, dot));
    for (std::string part; above != nullptr && std::getline(parts, part, '.');) above = descend(*above, part, ignored);
  }
  const std::string key = dot == std::string::npos ? path : path.substr(dot + 1);
  if (YamlEntry* entry = above == nullptr ? nullptr : above->find(key); entry != nullptr) entry->place = {0, 0};
}

}  // namespace

const YamlEntry* YamlNode::find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

YamlEntry* YamlNode::find(std::string_view key) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

std::string describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
    case YamlNode::Kind::kAlias:
      return "an alias";
    case YamlNode::Kind::kScalar:
      break;
  }
  constexpr std::size_t kShown = 60;  // a whole paragraph pasted as a value would hide the message
  std::string text = node.text.size() > kShown ? node.text.substr(0, kShown) + "..." : node.text;
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return "\"" + text + "\"";
}

std::string read_yaml_file(const std::filesystem::path& path, const std::string& what) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::is_directory(status) || !std::filesystem::exists(status)) {
    const bool missing = status.type() == std::filesystem::file_type::not_found;
    const std::string found = std::filesystem::is_directory(status) ? "a folder"
                              : missing                             ? "nothing"
                                                                    : error.message();
    refuse(path.string(), {0, 0}, "cannot read the " + what + " (expected a file, found " + found + ")",
           "give the path of a " + what);
  }
  const auto bytes = std::filesystem::is_regular_file(path, error) ? std::filesystem::file_size(path, error) : 0;
  if (!error && bytes > kMaxYamlBytes) refuse_size(path.string(), bytes);
  try {
    return read_stream(path, kMaxYamlBytes + 1);  // a pipe has no size; parse_yaml() refuses what is over
  } catch (const IoError& failure) {
    throw ConfigError(failure.what());
  }
}

YamlFile parse_yaml(const std::string& text, const std::string& name, const std::vector<YamlOverride>& overrides) {
  if (text.size() > kMaxYamlBytes) refuse_size(name, text.size());
  Parsed parsed = parse(text, name);
  std::vector<std::pair<std::string, std::string>> misfits;
  for (const auto& change : overrides) {
    if (const auto problem = apply(parsed.root, change))
      misfits.emplace_back(change.first, *problem);
    else
      forget_place(parsed.root, change.first);
  }
  SourcePositions positions{.file = name, .at = {}};
  index_places(parsed.root, "", positions);
  YamlFile file{std::move(parsed.root), Findings(std::move(positions))};
  for (const auto& remark : parsed.remarks) file.findings.add_at(remark.place, "", remark.message, remark.advice);
  for (const auto& [path, problem] : misfits)
    file.findings.add_at({0, 0}, path, problem, "write --set KEY.BELOW=VALUE, for example --set train.batch=256");
  find_duplicates(file.root, "", file.findings);
  return file;
}

}  // namespace regatta
