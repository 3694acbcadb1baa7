#pragma once
// How long an attempt held its nodes, and what it did meanwhile, as far as its batch system and its journal tell. Pure.

#include <optional>

#include "common/json.hpp"
#include "coordinator/state.hpp"

namespace regatta {

struct AttemptTimes {
  double held_s = 0;
  std::optional<double> startup_s;  ///< nothing: the ranks wrote no start line
  std::optional<double> hold_s, queue_s;
};

/// Of an attempt that was a batch job (METRICS.md, section 3). An end that the batch system did not tell is the last
/// sign of life.
AttemptTimes batch_times(const AttemptState& attempt);

/// held_s, startup_s, hold_s, queue_s: into the body of an exit or lost event.
void add_times(Json& body, const AttemptTimes& times);

}  // namespace regatta
