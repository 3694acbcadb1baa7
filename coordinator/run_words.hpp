#pragma once
// One run in words, for `show`.

#include <string>

#include "coordinator/state.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

/// The job's name as the run recorded it.
std::string job_name(const RunState& run);
/// "2025-07-01 12:00:00", UTC.
std::string when_text(Timestamp at);
Style style_of(RunStatus status);

/// What it was, where it ran, how it ended; its epochs; its bill by part; its files. Ends with a newline.
std::string to_page(const RunState& run, bool colour);
/// The comparison's head and a table of its runs.
std::string to_page(const ComparisonState& comparison, const State& state, bool colour);

}  // namespace regatta
