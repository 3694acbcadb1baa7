#pragma once
// The steps that ranks kept as a file for chrome://tracing and https://ui.perfetto.dev.

#include <string>
#include <vector>

#include "common/step_laps.hpp"

namespace regatta {

/// JSON object format of Chrome's "Trace Event Format": a process a rank, a complete event ("X") a step and, inside of
/// it, one a lap; microseconds from the earliest step of any rank. Ranks of a host share its clock; those of different
/// hosts are as far off as their wall clocks.
std::string chrome_trace(const std::vector<RankSteps>& ranks);

}  // namespace regatta
