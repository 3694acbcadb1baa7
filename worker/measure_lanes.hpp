#pragma once

#include "jobs/lane_choice.hpp"

namespace regatta {

class RankContext;
class Watchdog;

/// Up to which size nodes had better send everything to each other: both ways tried with a few sizes, in half a second
/// or little more. Collective; the same on every rank. Two nodes send the same bytes either way: they always swap.
LaneChoice measure_lanes(RankContext& ranks, Watchdog& watchdog);

}  // namespace regatta
