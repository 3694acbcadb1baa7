#pragma once
// Which cores and threads a rank computes with.

#include <string>
#include <vector>

#include "jobs/plan.hpp"

namespace regatta {

/// Binds the calling thread, and all threads it starts later, to the plan's cores of `rank` (none: leaves it as it is),
/// and sets torch's threads. Call before the first tensor. Returns what the user should know: that a core cannot be had
/// here, that ranks share cores.
std::vector<std::string> take_place(const Placement& placement, int rank);

}  // namespace regatta
