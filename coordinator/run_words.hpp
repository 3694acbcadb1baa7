#pragma once
// One run in words.

#include <string>

#include "coordinator/state.hpp"

namespace regatta {

/// What it was, where it ran, how it ended; its epochs; its bill by part; its files. Ends with a newline.
std::string to_page(const RunState& run, bool colour);
/// How it ended, in a line: "done in 0:12, $0.0048", "failed: a rank was killed by signal 9".
std::string ending_words(const RunState& run);
/// The comparison's head and a table of its runs.
std::string to_page(const ComparisonState& comparison, const State& state, bool colour);

}  // namespace regatta
