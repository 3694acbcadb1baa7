#pragma once
// Reading typed values out of a YAML file, declaratively: one line a key, in the order of the schema.
//
//   read_map(file, [&](YamlMap& job) {
//     job.text("name", spec.name).required();
//     job.section("train", [&](YamlMap& train) {
//       train.integer("batch", spec.batch).required().at_least(1);
//       train.word("precision", "precision", spec.precision, kPrecisions);
//     });
//   });
//   file.findings.throw_if_any();
//
// A key that is absent leaves its target alone, so targets hold the defaults (or what an override starts from). A wrong
// value leaves its target alone too, and becomes a finding: path, what was expected, what was found, advice. Keys that
// nobody asked for are unknown. Reading never throws; the caller decides when to.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/enum_text.hpp"
#include "common/money.hpp"
#include "common/yaml_tree.hpp"

namespace regatta {

class YamlMap;

/// What was read at one key, for conditions on it. Conditions speak only about values that were written and understood.
class YamlField {
 public:
  /// A finding when the key is absent; `advice` shows what to write.
  YamlField& required(const std::string& advice = "");
  /// Bounds of a number, or of each number of a list.
  YamlField& at_least(long double low);
  YamlField& above(long double low);
  YamlField& at_most(long double high);
  YamlField& below(long double high);
  /// Length of a list.
  YamlField& count(std::size_t low, std::size_t high);
  /// "expected EXPECTED, found ..." unless `fine`. For conditions that bounds cannot say.
  YamlField& check(bool fine, const std::string& expected, const std::string& advice = "");
  /// The key belongs beside another one only: a finding when it is written although `belongs` is false.
  YamlField& only(bool belongs, const std::string& beside);

  bool written() const { return node_ != nullptr; }
  /// Written and understood.
  bool good() const { return good_; }

 private:
  friend class YamlMap;
  YamlField(YamlMap& map, Findings& findings, std::string path, std::string expected, const YamlNode* node)
      : map_(map), findings_(findings), path_(std::move(path)), expected_(std::move(expected)), node_(node) {}
  YamlField& bound(bool (*holds)(long double, long double), long double limit, const char* words);

  YamlMap& map_;
  Findings& findings_;
  std::string path_, expected_;
  const YamlNode* node_;             // null: absent
  std::vector<long double> values_;  // long double holds every int64 and uint64
  bool good_ = false;
};

/// One map of the file while it is read. Lives only inside read_map() and the callbacks below.
class YamlMap {
 public:
  const std::string& path() const { return path_; }
  bool written(const char* key) const { return node_.find(key) != nullptr; }

  YamlField flag(const char* key, bool& out);
  YamlField integer(const char* key, int& out);
  YamlField integer(const char* key, std::int64_t& out);
  YamlField integer(const char* key, std::uint64_t& out);
  YamlField number(const char* key, double& out);
  YamlField text(const char* key, std::string& out);
  /// Relative paths become absolute against `folder`.
  YamlField path(const char* key, std::filesystem::path& out, const std::filesystem::path& folder);
  /// Decimal text such as 0.08925, exact, never through a double.
  YamlField usd(const char* key, NanoUsd& out);
  YamlField duration(const char* key, double& out_s);   ///< 90, 5s, 2m, 1.5h
  YamlField bytes(const char* key, std::int64_t& out);  ///< 4096, 512MiB, 2GiB
  YamlField integers(const char* key, std::vector<std::int64_t>& out);
  YamlField numbers(const char* key, std::vector<double>& out);
  YamlField texts(const char* key, std::vector<std::string>& out);

  // Optional targets: the `absent` word (none, auto) empties them.
  YamlField integer(const char* key, std::optional<int>& out, const char* absent);
  YamlField integer(const char* key, std::optional<std::int64_t>& out, const char* absent = nullptr);
  YamlField number(const char* key, std::optional<double>& out, const char* absent = nullptr);
  YamlField usd(const char* key, std::optional<NanoUsd>& out, const char* absent = nullptr);
  YamlField duration(const char* key, std::optional<double>& out_s, const char* absent = nullptr);
  YamlField bytes(const char* key, std::optional<std::int64_t>& out);

  /// One word of a table. `what` names it in "unknown optimizer \"adamm\"".
  template <class E, std::size_t N>
  YamlField word(const char* key, const char* what, E& out, const EnumText<E, N>& table) {
    std::vector<std::string> known;
    for (const auto& entry : table.words) known.emplace_back(entry.second);
    std::size_t choice = N;
    YamlField field = choose(key, what, known, choice);
    if (field.good()) out = table.words[choice].first;
    return field;
  }

  using Read = std::function<void(YamlMap&)>;
  /// The map below `key`, if it is written.
  YamlField section(const char* key, const Read& read);
  /// Each map of the list below `key`, in order.
  YamlField list(const char* key, const std::function<void(YamlMap&, std::size_t)>& read);
  /// Every entry of this map, each a map under a name that the file chooses.
  void each(const std::function<void(const std::string& name, YamlMap&)>& read);

 private:
  friend class YamlField;
  struct Missing {
    std::string path, message, advice;
  };

  friend void read_map(YamlFile& file, const Read& read);
  YamlMap(const YamlNode& node, std::string path, Findings& findings)
      : node_(node), path_(std::move(path)), findings_(findings) {}

  YamlField begin(const char* key, std::string expected);
  template <class T, class Parse>
  YamlField scalar(const char* key, T& out, std::string expected, Parse parse);
  template <class T, class Parse>
  YamlField maybe(const char* key, std::optional<T>& out, const char* absent, std::string expected, Parse parse);
  template <class T, class Parse>
  YamlField sequence(const char* key, std::vector<T>& out, const char* expected, Parse parse);
  YamlField choose(const char* key, const char* what, const std::vector<std::string>& known, std::size_t& choice);
  /// Reads `node`, which should be a map, and refuses the keys that `read` did not ask for.
  static void visit(const YamlNode& node, const std::string& path, Findings& findings, const Read& read);
  /// Unknown keys, and missing ones unless an unknown key looks like a slip for it.
  void finish();

  const YamlNode& node_;
  std::string path_;
  Findings& findings_;
  std::vector<std::string> known_;
  std::vector<Missing> missing_;
};

/// Reads the whole file, whose root should be a map. Findings go to `file.findings`.
void read_map(YamlFile& file, const YamlMap::Read& read);

/// Letters, digits, '.', '_' and '-', one to 64 of them, not beginning with '.' or '-': safe as a file name and as a
/// word on a command line.
bool is_plain_name(const std::string& text);

}  // namespace regatta
