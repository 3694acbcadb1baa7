#include "coordinator/question.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <vector>

#include "coordinator/home.hpp"
#include "coordinator/ledger.hpp"
#include "coordinator/ownership.hpp"

namespace regatta {

namespace {

/// The ids that share the longest beginning with `wanted`.
std::string nearest_ids(const std::vector<std::string>& ids, const std::string& wanted) {
  constexpr std::size_t kWorthShowing = 4;  // fewer letters in common are no slip of the pen
  std::size_t longest = kWorthShowing;
  std::string found;
  for (const auto& id : ids) {
    const auto same = std::mismatch(id.begin(), id.end(), wanted.begin(), wanted.end()).first - id.begin();
    if (static_cast<std::size_t>(same) < longest) continue;
    longest = static_cast<std::size_t>(same);
    found = id;
  }
  return found;
}

/// SQLite writes the file and makes others beside it.
bool may_write(const std::filesystem::path& file) {
  return ::faccessat(AT_FDCWD, file.c_str(), W_OK, AT_EACCESS) == 0 &&
         ::faccessat(AT_FDCWD, std::filesystem::absolute(file).parent_path().c_str(), W_OK, AT_EACCESS) == 0;
}

}  // namespace

std::string upper_case(std::string_view text) {
  std::string copy(text);
  for (char& letter : copy) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return copy;
}

Asked ask_ledger(const CommandLine& line) {
  Asked asked{.ledger = find_home(line.home).ledger};
  if (!std::filesystem::exists(asked.ledger)) return asked;
  if (!may_write(asked.ledger)) {
    asked.state = load_state(Ledger(asked.ledger, Ledger::Access::kRead));
    return asked;
  }
  Ledger ledger(asked.ledger);
  if (!line.quiet && !ledger.notice().empty()) std::fprintf(stderr, "regatta: %s\n", ledger.notice().c_str());
  for (const auto& sentence : recover(ledger)) std::fprintf(stderr, "regatta: %s\n", sentence.c_str());
  asked.state = load_state(ledger);
  return asked;
}

Subject find_subject(const State& state, std::string_view id) {
  const std::string wanted = upper_case(id);
  std::vector<std::string> all, matches;
  for (const auto& [known, comparison] : state.comparisons) all.push_back(known);
  for (const auto& [known, run] : state.runs) all.push_back(known);
  for (const auto& known : all)
    if (!wanted.empty() && upper_case(known).starts_with(wanted)) matches.push_back(known);

  if (matches.empty()) {
    const std::string near = nearest_ids(all, wanted);
    throw Error(ExitCode::kFailure, "no run or comparison \"" + std::string(id) + "\"\n  " +
                                        (near.empty() ? "" : "nearest: " + near + "; ") + "`regatta list` shows all");
  }
  if (matches.size() > 1) {
    std::string list;
    for (const auto& match : matches) list += "\n  " + match;
    throw Error(ExitCode::kFailure, "\"" + std::string(id) + "\" begins " + std::to_string(matches.size()) +
                                        " ids; give more letters:" + list);
  }
  const auto run = state.runs.find(matches[0]);
  if (run != state.runs.end()) return {.run = &run->second};
  return {.comparison = &state.comparisons.at(matches[0])};
}

Subject latest_subject(const Asked& asked) {
  Subject latest;
  Timestamp newest{};
  for (const auto& [id, comparison] : asked.state.comparisons) {
    if (comparison.created_at < newest) continue;
    newest = comparison.created_at;
    latest = {.comparison = &comparison};
  }
  for (const auto& [id, run] : asked.state.runs) {
    if (!is_alone(run, asked.state) || run.created_at < newest) continue;
    newest = run.created_at;
    latest = {.run = &run};
  }
  if (latest.run == nullptr && latest.comparison == nullptr) throw Error(ExitCode::kFailure, empty_words(asked.ledger));
  return latest;
}

std::string empty_words(const std::filesystem::path& ledger) {
  return "nothing is recorded in " + ledger.string() +
         " yet\n  begin with `regatta run job.yaml`, or `regatta import RUN_DIR` for a run started by hand";
}

}  // namespace regatta
