#pragma once
// From held seconds to money. Every formula stands in METRICS.md first. Pure functions; parts sum to the nano-dollar.

#include <string>
#include <utility>
#include <vector>

#include "common/price.hpp"
#include "common/records.hpp"

namespace regatta {

/// What was held and how it is billed.
struct Holding {
  int nodes = 1, ranks = 1, threads = 1, cores_per_node = 1;
};

/// Cost of holding it for `held`: node billing = rate x nodes x time; slot billing = rate x ranks x threads /
/// cores_per_node x time.
NanoUsd holding_cost(const Price& price, const Holding& holding, Duration held);

/// Time of one attempt, as measured from launch to exit.
struct AttemptTime {
  Duration held{0};                   ///< launch to exit (a lost one: to its last sign of life)
  Duration startup{0};                ///< launch to the journal's start line
  std::vector<record::Epoch> epochs;  ///< complete and partial ones, in order
  bool finished = false;  ///< its weights were kept, also by a clean stop; false: all after startup is `lost`
};

/// The bill by part: startup, the eight phases, hold, lost, shutdown, in that order, each key always present.
/// Clock noise (negative, overlapping or non-finite times) is clamped; it never loses or doubles a nano-dollar.
struct Bill {
  NanoUsd total;
  std::vector<std::pair<std::string, NanoUsd>> parts;  ///< sum to total exactly
};
Bill make_bill(const Price& price, const Holding& holding, const std::vector<AttemptTime>& attempts);

}  // namespace regatta
