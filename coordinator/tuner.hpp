#pragma once
// Decides `precision: auto` and `ranks: auto` before anything is timed: by trials, or out of the cache.

#include <filesystem>

#include "cluster/inventory.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/progress.hpp"
#include "coordinator/reactor.hpp"

namespace regatta {

struct TunerParts {
  Reactor& reactor;
  ProgressDisplay& display;
  const Inventory& machine;
  std::filesystem::path home, worker;
  bool retune = false;     ///< measure, whatever the cache says
  bool contended = false;  ///< others run beside it: what is measured is not kept
};

/// Settles every row that has ways to try, and says what was tried. False when interrupted: nothing is left running.
/// Throws IoError for a home that cannot be written. Call with this machine's slots held.
bool tune(Preparation& preparation, const TunerParts& parts);

/// The rows whose choice is cached are settled, the others stay at the first way: for a look ahead. Touches nothing.
void settle_from_cache(Preparation& preparation, const std::filesystem::path& home, const Inventory& machine);

}  // namespace regatta
