#pragma once
// From held seconds to money. Every formula stands in METRICS.md first. Pure functions; parts sum to the nano-dollar.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/price.hpp"
#include "common/records.hpp"

namespace regatta {

/// Recorded seconds as time that counts: negative ones and what is no number are noise and count as 0, more than 30
/// years as 30 years, so that one damaged line in an old ledger is no reason not to read it.
Duration counted_time(double seconds);

/// What was held and how it is billed.
struct Holding {
  int nodes = 1, ranks = 1, threads = 1, cores_per_node = 1;
  int gpus_per_node = 0;  ///< of ranks on GPUs: then a rank's slot is a GPU
  int cpu_ranks = 0;      ///< of `ranks`, on cores beside those on GPUs; `threads` are theirs then
};

/// Of whatever says where ranks are placed: a plan's Placement, a RunState.
template <class Place>
Holding holding_of(const Place& place) {
  return {.nodes = place.nodes,
          .ranks = place.ranks,
          .threads = place.threads,
          .cores_per_node = place.cores_per_node,
          .gpus_per_node = place.gpus_per_node,
          .cpu_ranks = place.cpu_ranks};
}

/// What the ranks take of a node's slots, as a fraction; more than 1 on several nodes. Of both kinds of rank the larger
/// share (METRICS.md, section 2).
struct SlotShare {
  std::int64_t taken = 1, of_node = 1;
  double value() const { return static_cast<double>(taken) / static_cast<double>(of_node); }
};
SlotShare slot_share(const Holding& holding);

inline constexpr NanoUsd kMostCost{100'000'000LL * 1'000'000'000};  // a hundred million USD; sums of 90 such fit

/// Cost of holding it for `held`: node billing = rate x nodes x time; slot billing = rate x ranks x threads /
/// cores_per_node x time, on GPUs ranks / gpus_per_node x time, with both kinds the larger of the two. More than
/// kMostCost counts as kMostCost.
NanoUsd holding_cost(const Price& price, const Holding& holding, Duration held);

/// Time of one attempt, as measured from launch to exit.
struct AttemptTime {
  Duration held{0};                   ///< launch to exit (a lost one: to its last sign of life)
  Duration startup{0};                ///< launch to the journal's start line
  Duration hold{0};                   ///< of a batch job: before its ranks began, and after they had ended
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
