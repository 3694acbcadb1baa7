#include "coordinator/compared_runs.hpp"

#include <algorithm>
#include <set>

namespace regatta {

namespace {

void add_run_once(const RunState& run, std::vector<const RunState*>& runs) {
  if (std::find(runs.begin(), runs.end(), &run) == runs.end()) runs.push_back(&run);
}

void add_comparison(const ComparisonState& comparison, const State& state, std::vector<const RunState*>& runs) {
  for (const auto* run : runs_of(comparison, state)) add_run_once(*run, runs);
}

const ComparisonState& latest_comparison(const Asked& asked) {
  const auto& comparisons = asked.state.comparisons;
  if (comparisons.empty()) {
    if (asked.state.runs.empty()) throw Error(ExitCode::kFailure, empty_words(asked.ledger));
    throw Error(ExitCode::kFailure, "no comparison is recorded in " + asked.ledger.string() +
                                        ", only runs outside of one\n" +
                                        "  name those to compare: regatta compare RUN RUN; `regatta list` shows them");
  }
  return std::max_element(comparisons.begin(), comparisons.end(),
                          [](const auto& a, const auto& b) { return a.second.created_at < b.second.created_at; })
      ->second;
}

}  // namespace

std::vector<const RunState*> compared_runs(const Asked& asked, const std::vector<std::string>& ids) {
  std::vector<const RunState*> runs;
  if (ids.empty()) add_comparison(latest_comparison(asked), asked.state, runs);
  for (const auto& id : ids) {
    const Subject subject = find_subject(asked.state, id);
    if (subject.run != nullptr)
      add_run_once(*subject.run, runs);
    else
      add_comparison(*subject.comparison, asked.state, runs);
  }
  if (runs.empty()) throw Error(ExitCode::kFailure, "nothing to compare: the comparison has no run");
  return runs;
}

std::map<std::string, NanoUsd> asked_prices(const std::vector<std::string>& texts,
                                            const std::vector<const RunState*>& runs) {
  std::set<std::string> pools;
  for (const auto* run : runs) pools.insert(run->pool);
  std::string known;
  for (const auto& pool : pools) known += (known.empty() ? "" : ", ") + pool;

  std::map<std::string, NanoUsd> prices;
  for (const auto& text : texts) {
    const auto equals = text.rfind('=');
    const auto amount = equals == std::string::npos ? std::nullopt : parse_usd(text.substr(equals + 1));
    if (!amount || *amount < NanoUsd{} || *amount > kMostUsdPerNodeHour)
      throw ConfigError("--price: expected POOL=USD per node-hour such as here=2.10, from 0 to " +
                        to_decimal(kMostUsdPerNodeHour) + ", found \"" + text + "\"");
    const std::string pool = text.substr(0, equals);
    if (!pools.contains(pool))
      throw ConfigError("--price: no run used pool \"" + pool + "\"\n  pools of this comparison: " + known);
    if (!prices.emplace(pool, *amount).second) throw ConfigError("--price: pool \"" + pool + "\" is priced twice");
  }
  return prices;
}

}  // namespace regatta
