#pragma once
// One run in words, for `show`.

#include <string>

#include "coordinator/state.hpp"

namespace regatta {

/// What it was, where it ran, how it ended; its epochs; its bill by part; its files. Ends with a newline.
std::string to_page(const RunState& run, bool colour);
/// The comparison's head and a table of its runs.
std::string to_page(const ComparisonState& comparison, const State& state, bool colour);

}  // namespace regatta
