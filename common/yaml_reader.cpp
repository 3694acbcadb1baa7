#include "common/yaml_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "common/yaml_values.hpp"

namespace regatta {

namespace {

constexpr const char* kFlag = "true or false";
constexpr const char* kInteger = "an integer";
constexpr const char* kNumber = "a number";
constexpr const char* kUsd = "a decimal amount in USD, such as 0.08925";
constexpr const char* kDuration = "a duration, such as 90, 5s, 2m or 1h";
constexpr const char* kBytes = "a memory size, such as 4096, 512MiB or 2GiB";
constexpr const char* kText = "text";

std::string join_path(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

std::string advice_for(const YamlNode& node, const std::string& expected) {
  if (node.kind == YamlNode::Kind::kAlias) return "aliases are not read: write the value itself instead of *NAME";
  if (node.kind == YamlNode::Kind::kNull) return "write a value after the colon, or remove the key";
  if (node.kind == YamlNode::Kind::kScalar && node.quoted && expected != kText) return "remove the quotes";
  if (expected == kFlag) return "write true or false";
  return "write " + expected;
}

void mismatch(Findings& findings, const std::string& path, const std::string& expected, const YamlNode& node) {
  findings.add(path, "wrong type or form (expected " + expected + ", found " + describe(node) + ")",
               advice_for(node, expected));
}

std::optional<std::string> parse_text(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kScalar ? std::optional(node.text) : std::nullopt;
}

/// A parser of plain text as a parser of nodes.
template <class Parse>
auto plain(Parse parse) {
  return [parse](const YamlNode& node) -> decltype(parse(std::string_view())) {
    if (node.kind != YamlNode::Kind::kScalar || node.quoted) return {};
    return parse(node.text);
  };
}

const auto parse_small_integer = plain([](std::string_view text) -> std::optional<int> {
  const auto value = parse_integer(text);
  return value && std::in_range<int>(*value) ? std::optional(static_cast<int>(*value)) : std::nullopt;
});

/// What bounds look at; texts have none.
template <class T>
void keep_number(std::vector<long double>& values, const T& value) {
  if constexpr (std::is_same_v<T, NanoUsd>)
    values.push_back(static_cast<long double>(value.nano) / 1e9L);
  else if constexpr (std::is_arithmetic_v<T>)
    values.push_back(static_cast<long double>(value));
}

std::string number_text(long double value) {
  return fmt::format("{:.12g}", value);
}

}  // namespace

YamlField& YamlField::required(const std::string& advice) {
  if (node_ == nullptr)
    map_.missing_.push_back({path_, "missing (expected " + expected_ + ", found nothing)",
                             advice.empty() ? "write this key; the schema is in jobs/SCHEMA.md" : advice});
  return *this;
}

YamlField& YamlField::bound(bool (*holds)(long double, long double), long double limit, const char* words) {
  for (const long double value : values_) {
    if (holds(value, limit)) continue;
    findings_.add(path_,
                  fmt::format("out of range (expected {} {}, found {})", words, number_text(limit), number_text(value)),
                  fmt::format("write a value {} {}", words, number_text(limit)));
    good_ = false;
    break;
  }
  return *this;
}

YamlField& YamlField::at_least(long double low) {
  return bound([](long double v, long double l) { return v >= l; }, low, "at least");
}
YamlField& YamlField::above(long double low) {
  return bound([](long double v, long double l) { return v > l; }, low, "above");
}
YamlField& YamlField::at_most(long double high) {
  return bound([](long double v, long double l) { return v <= l; }, high, "at most");
}
YamlField& YamlField::below(long double high) {
  return bound([](long double v, long double l) { return v < l; }, high, "below");
}

YamlField& YamlField::count(std::size_t low, std::size_t high) {
  if (!good_) return *this;
  const std::size_t found = node_->items.size();
  const std::string range = low == high        ? std::to_string(low)
                            : high == SIZE_MAX ? "at least " + std::to_string(low)
                                               : std::to_string(low) + " to " + std::to_string(high);
  return check(found >= low && found <= high, range + " entries", "this list has " + std::to_string(found));
}

YamlField& YamlField::check(bool fine, const std::string& expected, const std::string& advice) {
  if (!good_ || fine) return *this;
  findings_.add(path_, "not allowed (expected " + expected + ", found " + describe(*node_) + ")",
                advice.empty() ? "write " + expected : advice);
  good_ = false;
  return *this;
}

YamlField& YamlField::only(bool belongs, const std::string& beside) {
  if (node_ == nullptr || belongs) return *this;
  findings_.add(path_, "does not belong here (expected only beside " + beside + ", found " + describe(*node_) + ")",
                "remove this key, or write " + beside);
  good_ = false;
  return *this;
}

YamlField YamlMap::begin(const char* key, std::string expected) {
  known_.emplace_back(key);
  const YamlEntry* entry = node_.find(key);
  return {*this, findings_, join_path(path_, key), std::move(expected), entry == nullptr ? nullptr : &entry->value};
}

template <class T, class Parse>
YamlField YamlMap::scalar(const char* key, T& out, std::string expected, Parse parse) {
  YamlField field = begin(key, std::move(expected));
  if (!field.written()) return field;
  if (const auto value = parse(*field.node_)) {
    out = *value;
    field.good_ = true;
    keep_number(field.values_, *value);
  } else {
    mismatch(findings_, field.path_, field.expected_, *field.node_);
  }
  return field;
}

template <class T, class Parse>
YamlField YamlMap::maybe(const char* key, std::optional<T>& out, const char* absent, std::string expected,
                         Parse parse) {
  const YamlEntry* entry = node_.find(key);
  if (absent != nullptr) expected = std::string(absent) + " or " + expected;
  if (absent != nullptr && entry != nullptr && entry->value.kind == YamlNode::Kind::kScalar &&
      entry->value.text == absent) {
    YamlField field = begin(key, std::move(expected));
    field.good_ = true;
    out.reset();
    return field;
  }
  T value{};
  YamlField field = scalar(key, value, std::move(expected), parse);
  if (field.good()) out = value;
  return field;
}

template <class T, class Parse>
YamlField YamlMap::sequence(const char* key, std::vector<T>& out, const char* expected, Parse parse) {
  YamlField field = begin(key, std::string("a list of ") + expected);
  if (!field.written()) return field;
  if (field.node_->kind != YamlNode::Kind::kSequence) {
    mismatch(findings_, field.path_, field.expected_, *field.node_);
    return field;
  }
  std::vector<T> values;
  bool fine = true;
  for (std::size_t i = 0; i < field.node_->items.size(); ++i) {
    const YamlNode& item = field.node_->items[i];
    if (const auto value = parse(item)) {
      values.push_back(*value);
      keep_number(field.values_, *value);
    } else {
      mismatch(findings_, field.path_ + "[" + std::to_string(i) + "]", std::string(expected), item);
      fine = false;
    }
  }
  if (!fine) return field;
  field.good_ = true;
  out = std::move(values);
  return field;
}

YamlField YamlMap::flag(const char* key, bool& out) {
  return scalar(key, out, kFlag, plain(parse_flag));
}
YamlField YamlMap::integer(const char* key, int& out) {
  return scalar(key, out, kInteger, parse_small_integer);
}
YamlField YamlMap::integer(const char* key, std::int64_t& out) {
  return scalar(key, out, kInteger, plain(parse_integer));
}
YamlField YamlMap::integer(const char* key, std::uint64_t& out) {
  return scalar(key, out, "an integer of at least 0", plain(parse_unsigned));
}
YamlField YamlMap::number(const char* key, double& out) {
  return scalar(key, out, kNumber, plain(parse_number));
}
YamlField YamlMap::text(const char* key, std::string& out) {
  return scalar(key, out, kText, parse_text);
}
YamlField YamlMap::path(const char* key, std::filesystem::path& out, const std::filesystem::path& folder) {
  std::string text;
  YamlField field = scalar(key, text, kText, parse_text);
  field.check(!text.empty() && text.find('\0') == std::string::npos, "a path", "write a file or folder");
  if (field.good()) out = (folder / text).lexically_normal();
  return field;
}
YamlField YamlMap::usd(const char* key, NanoUsd& out) {
  return scalar(key, out, kUsd, plain(parse_usd));
}
YamlField YamlMap::duration(const char* key, double& out_s) {
  return scalar(key, out_s, kDuration, plain(parse_duration));
}
YamlField YamlMap::bytes(const char* key, std::int64_t& out) {
  return scalar(key, out, kBytes, plain(parse_bytes));
}
YamlField YamlMap::integers(const char* key, std::vector<std::int64_t>& out) {
  return sequence(key, out, "integers", plain(parse_integer));
}
YamlField YamlMap::numbers(const char* key, std::vector<double>& out) {
  return sequence(key, out, "numbers", plain(parse_number));
}
YamlField YamlMap::texts(const char* key, std::vector<std::string>& out) {
  return sequence(key, out, "words", parse_text);
}
YamlField YamlMap::integer(const char* key, std::optional<int>& out, const char* absent) {
  return maybe(key, out, absent, kInteger, parse_small_integer);
}
YamlField YamlMap::integer(const char* key, std::optional<std::int64_t>& out, const char* absent) {
  return maybe(key, out, absent, kInteger, plain(parse_integer));
}
YamlField YamlMap::number(const char* key, std::optional<double>& out, const char* absent) {
  return maybe(key, out, absent, kNumber, plain(parse_number));
}
YamlField YamlMap::usd(const char* key, std::optional<NanoUsd>& out, const char* absent) {
  return maybe(key, out, absent, kUsd, plain(parse_usd));
}
YamlField YamlMap::duration(const char* key, std::optional<double>& out_s, const char* absent) {
  return maybe(key, out_s, absent, kDuration, plain(parse_duration));
}
YamlField YamlMap::bytes(const char* key, std::optional<std::int64_t>& out) {
  return maybe(key, out, nullptr, kBytes, plain(parse_bytes));
}

YamlField YamlMap::choose(const char* key, const char* what, const std::vector<std::string>& known,
                          std::size_t& choice) {
  std::string list;
  for (const auto& word : known) list += (list.empty() ? "" : ", ") + word;
  YamlField field = begin(key, "one of " + list);
  if (!field.written()) return field;
  if (field.node_->kind != YamlNode::Kind::kScalar) {
    mismatch(findings_, field.path_, field.expected_, *field.node_);
    return field;
  }
  const auto found = std::find(known.begin(), known.end(), field.node_->text);
  if (found == known.end()) {
    findings_.add(field.path_, std::string("unknown ") + what + " " + describe(*field.node_),
                  known_words_advice(field.node_->text, known));
    return field;
  }
  choice = static_cast<std::size_t>(found - known.begin());
  field.good_ = true;
  return field;
}

YamlField YamlMap::section(const char* key, const Read& read) {
  YamlField field = begin(key, "a map");
  if (!field.written()) return field;
  field.good_ = field.node_->kind == YamlNode::Kind::kMap;
  visit(*field.node_, field.path_, findings_, read);
  return field;
}

YamlField YamlMap::list(const char* key, const std::function<void(YamlMap&, std::size_t)>& read) {
  YamlField field = begin(key, "a list of maps");
  if (!field.written()) return field;
  field.good_ = field.node_->kind == YamlNode::Kind::kSequence;
  if (!field.good_) mismatch(findings_, field.path_, field.expected_, *field.node_);
  for (std::size_t i = 0; i < field.node_->items.size(); ++i)
    visit(field.node_->items[i], field.path_ + "[" + std::to_string(i) + "]", findings_,
          [&](YamlMap& item) { read(item, i); });
  return field;
}

void YamlMap::each(const std::function<void(const std::string&, YamlMap&)>& read) {
  for (const auto& entry : node_.entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;  // a duplicate, already found
    known_.push_back(entry.key);
    visit(entry.value, join_path(path_, entry.key), findings_, [&](YamlMap& below) { read(entry.key, below); });
  }
}

void YamlMap::visit(const YamlNode& node, const std::string& path, Findings& findings, const Read& read) {
  if (node.kind != YamlNode::Kind::kMap) {
    mismatch(findings, path, "a map", node);
    return;
  }
  YamlMap map(node, path, findings);
  read(map);
  map.finish();
}

void YamlMap::finish() {
  std::vector<std::string> guesses;
  for (const auto& entry : node_.entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    guesses.push_back(join_path(path_, nearest(entry.key, known_)));
    findings_.add_at(entry.place, join_path(path_, entry.key), "unknown key \"" + entry.key + "\"",
                     known_words_advice(entry.key, known_));
  }
  for (const auto& [path, message, advice] : missing_) {
    if (std::find(guesses.begin(), guesses.end(), path) == guesses.end())
      findings_.add(path, message, advice);
    else
      findings_.touch(path);
  }
}

void read_map(YamlFile& file, const YamlMap::Read& read) {
  YamlMap::visit(file.root, "", file.findings, read);
}

bool is_plain_name(const std::string& text) {
  constexpr std::size_t kLongest = 64;  // leaves room for prefixes within NAME_MAX (255)
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !text.empty() && text.size() <= kLongest && text.find_first_not_of(kAllowed) == std::string::npos &&
         text[0] != '.' && text[0] != '-';
}

}  // namespace regatta
