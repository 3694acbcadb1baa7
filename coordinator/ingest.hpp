#pragma once
// How a run's files become events: the same way for a followed run, a lost one and an imported one.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/ledger.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// RUN_DIR/attempt-K
std::filesystem::path attempt_folder(const std::filesystem::path& run_dir, int attempt);

/// The `run` event of a plan; source_seq 1, so that a run is recorded once.
Event run_event(const Plan& plan, const std::filesystem::path& run_dir, int order, Timestamp at);

/// Journal lines of an attempt with seq > after, as events that happened when the line was written. No file yet: none.
/// Throws IoError for a damaged line, a gap in seq, or a line of another run or attempt.
std::vector<Event> journal_events(const std::filesystem::path& attempt_dir, const RunId& run, int attempt,
                                  std::int64_t after);

/// The journal says a normal end and result.json is whole: nothing was lost, even where nobody saw the exit.
bool finished_in_order(const RunState& run, const AttemptState& attempt);

/// RUN_DIR/result.json is whole, and this attempt's.
bool has_result(const RunState& run, int attempt);

/// The `end` event from what the fold knows (exit, epochs, price) and RUN_DIR/result.json:
///   no launch -> cancelled; lost -> lost; exit 0 and a whole result.json -> done; exit 75 -> stopped; else failed.
/// The bill is null without a price. Pure but for reading result.json.
Event end_event(const RunState& run, Timestamp at);

/// The `end` event of a run that this machine cannot do: never launched, nothing billed.
Event refused_event(const RunId& run, const std::string& why, Timestamp at);

}  // namespace regatta
