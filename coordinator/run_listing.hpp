#pragma once
// What `list` shows: comparisons with their runs, and runs outside of one, newest first. Pure.

#include <optional>
#include <string>
#include <vector>

#include "coordinator/state.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

/// One comparison, or one run outside of any.
struct ListEntry {
  const ComparisonState* comparison = nullptr;
  std::vector<const RunState*> runs;  ///< in the job file's order, then by repeat
  Timestamp created_at;
};

ListEntry entry_of(const ComparisonState& comparison, const State& state);
std::vector<ListEntry> list_entries(const State& state, std::optional<std::size_t> limit);

/// Columns id, when, job, configuration, status, epochs, accuracy, s/epoch, cost; a comparison heads its runs.
std::string to_table(const std::vector<ListEntry>& entries, bool colour);

/// [{comparison_id|null, job_name, created_at, usd_total|null, runs: [{run_id, configuration, repeat, status, epochs,
/// test_accuracy|null, seconds_per_epoch|null, usd_total|null}]}]
Json to_json(const std::vector<ListEntry>& entries);

/// "2025-07-01 12:00:00", UTC.
std::string when_text(Timestamp at);
Style style_of(RunStatus status);

}  // namespace regatta
