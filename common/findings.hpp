#pragma once
// What is wrong in one file that a person wrote, gathered until all of it is known.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/error.hpp"

namespace regatta {

/// Where a key stood in the file: "configurations[1].ranks" -> line, column. Only keys that were written are here.
struct SourcePositions {
  std::string file;
  std::map<std::string, std::pair<int, int>> at;  ///< (0, 0): written on the command line, by --set

  bool written(const std::string& path) const { return at.contains(path); }
  /// A finding about `path`, placed at the path itself or at the nearest written path above it (else at 1:1).
  Diagnostic finding(const std::string& path, const std::string& message, const std::string& advice = "") const;
};

/// Collects the findings of one file. One thread.
class Findings {
 public:
  explicit Findings(SourcePositions positions) : positions_(std::move(positions)) {}

  const SourcePositions& positions() const { return positions_; }
  /// `message` follows the path: "train.batch: MESSAGE". The same finding twice is kept once.
  void add(const std::string& path, const std::string& message, const std::string& advice = "");
  /// For what stands elsewhere than its path, such as the second of two equal keys.
  void add_at(std::pair<int, int> place, const std::string& path, const std::string& message,
              const std::string& advice);
  /// Makes `path` count as touched: what is wrong there is said elsewhere.
  void touch(const std::string& path) { touched_.push_back(path); }
  /// Something was found at `path`, above it or below it: rules about it would only repeat the trouble.
  bool touched(const std::string& path) const;
  bool empty() const { return found_.empty(); }
  /// In file order, what --set wrote last; at most kMaxFindings and a line that counts the rest.
  std::vector<Diagnostic> sorted() const;
  /// Throws ConfigError with everything found, if anything was.
  void throw_if_any() const;

  static constexpr std::size_t kMaxFindings = 200;  // more fit no terminal and help nobody

 private:
  void keep(const std::string& path, Diagnostic diagnostic);

  SourcePositions positions_;
  std::vector<Diagnostic> found_;
  std::vector<std::string> touched_;  // the paths that they are about
};

/// The `known` word with the fewest edits to `word`, when that is near enough to be a slip; empty otherwise.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

/// "known: adam, adamw, sgd. Did you mean "adam"?"
std::string known_words_advice(const std::string& word, std::vector<std::string> known);

}  // namespace regatta
