#include "common/findings.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <tuple>

namespace regatta {

namespace {

bool is_below(const std::string& path, const std::string& above) {
  return above.empty() || (path.size() > above.size() && path.compare(0, above.size(), above) == 0 &&
                           (path[above.size()] == '.' || path[above.size()] == '['));
}

/// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours (Damerau 1964).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

}  // namespace

Diagnostic SourcePositions::finding(const std::string& path, const std::string& message,
                                    const std::string& advice) const {
  const std::string text = path.empty() ? message : path + ": " + message;
  std::string place = path;
  auto found = at.find(place);
  while (found == at.end() && !place.empty()) {
    const auto cut = place.find_last_of(".[");
    place.resize(cut == std::string::npos ? 0 : cut);
    found = at.find(place);
  }
  if (found == at.end()) return {file, 1, 1, text, advice};
  if (found->second.first == 0) return {"--set " + place, 0, 0, text, advice};
  return {file, found->second.first, found->second.second, text, advice};
}

void Findings::add(const std::string& path, const std::string& message, const std::string& advice) {
  keep(path, positions_.finding(path, message, advice));
}

void Findings::add_at(std::pair<int, int> place, const std::string& path, const std::string& message,
                      const std::string& advice) {
  const std::string text = path.empty() ? message : path + ": " + message;
  const bool by_set = place.first == 0 && !path.empty();
  keep(path, {by_set ? "--set " + path : positions_.file, place.first, place.second, text, advice});
}

void Findings::keep(const std::string& path, Diagnostic diagnostic) {
  const bool known = std::any_of(found_.begin(), found_.end(), [&](const Diagnostic& other) {
    return other.message == diagnostic.message && other.line == diagnostic.line && other.column == diagnostic.column;
  });
  if (known) return;
  found_.push_back(std::move(diagnostic));
  touch(path);
}

bool Findings::touched(const std::string& path) const {
  return std::any_of(touched_.begin(), touched_.end(), [&](const std::string& other) {
    return other == path || is_below(other, path) || (!other.empty() && is_below(path, other));
  });
}

std::vector<Diagnostic> Findings::sorted() const {
  std::vector<Diagnostic> all = found_;
  const auto key = [&](const Diagnostic& d) { return std::tuple(d.file != positions_.file, d.line, d.column); };
  std::stable_sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  if (all.size() > kMaxFindings) {
    const std::size_t left = all.size() - kMaxFindings;
    all.resize(kMaxFindings);
    all.push_back({positions_.file, 0, 0, "and " + std::to_string(left) + " more", "mend these first"});
  }
  return all;
}

void Findings::throw_if_any() const {
  if (!found_.empty()) throw ConfigError(sorted());
}

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  // Two slips in a word of usual length; one in a short one, or every three-letter word would be near every other.
  std::size_t best = word.size() <= 3 ? 2 : 3;
  std::string answer;
  for (const auto& candidate : known) {
    if (candidate.size() > word.size() + 2 || word.size() > candidate.size() + 2) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best && distance < candidate.size()) {
      best = distance;
      answer = candidate;
    }
  }
  return answer;
}

std::string known_words_advice(const std::string& word, std::vector<std::string> known) {
  std::sort(known.begin(), known.end());
  std::string advice = "known: ";
  for (std::size_t i = 0; i < known.size(); ++i) advice += (i == 0 ? "" : ", ") + known[i];
  const std::string guess = nearest(word, known);
  return guess.empty() ? advice : advice + ". Did you mean \"" + guess + "\"?";
}

}  // namespace regatta
