#include "coordinator/comparison.hpp"

#include <algorithm>
#include <map>

#include "coordinator/measured_row.hpp"
#include "coordinator/verdict.hpp"

namespace regatta {

namespace {

constexpr std::size_t kShownId = 10;  // the time half of a ULID

std::string origin(const RunState& run) {
  return run.comparison ? run.comparison->value : run.id.value;
}

/// Runs of one configuration of one comparison, in the order in which they first appear.
std::vector<std::vector<const RunState*>> rows_of(const std::vector<const RunState*>& runs) {
  std::vector<std::vector<const RunState*>> rows;
  std::map<std::pair<std::string, std::string>, std::size_t> place;
  for (const auto* run : runs) {
    const auto [known, fresh] = place.try_emplace({origin(*run), run->configuration}, rows.size());
    if (fresh) rows.emplace_back();
    rows[known->second].push_back(run);
  }
  return rows;
}

/// Two comparisons may have a configuration of the same name: the verdict must be able to tell them apart.
void make_names_unique(const std::vector<std::vector<const RunState*>>& runs, std::vector<MeasuredRow>& rows) {
  std::map<std::string, int> uses;
  for (const auto& measured : rows) ++uses[measured.row.configuration];
  for (std::size_t length : {kShownId, std::string::npos}) {
    std::map<std::string, int> named;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const RunState& run = *runs[i].front();
      if (uses[run.configuration] > 1)
        rows[i].row.configuration = run.configuration + "@" + origin(run).substr(0, length);
      ++named[rows[i].row.configuration];
    }
    if (named.size() == rows.size()) return;
  }
}

std::vector<std::string> origins(const std::vector<const RunState*>& runs) {
  std::vector<std::string> ids;
  for (const auto* run : runs)
    if (std::find(ids.begin(), ids.end(), origin(*run)) == ids.end()) ids.push_back(origin(*run));
  return ids;
}

}  // namespace

Comparison compare(const std::vector<const RunState*>& runs, const std::map<std::string, NanoUsd>& reprice) {
  const auto by_row = rows_of(runs);
  std::vector<MeasuredRow> measured;
  measured.reserve(by_row.size());
  for (const auto& repeats : by_row) measured.push_back(measure(repeats, reprice));
  make_names_unique(by_row, measured);

  Comparison comparison{.ids = origins(runs)};
  if (!runs.empty()) comparison.job_name = job_name(*runs.front());
  comparison.verdict = make_verdict(measured, agreement(runs));
  for (auto& [row, holding, walls] : measured) comparison.rows.push_back(std::move(row));
  return comparison;
}

}  // namespace regatta
