#pragma once
// The ranks of a test that runs under mpirun.

#include "worker/rank_context.hpp"
#include "worker/watchdog.hpp"

namespace regatta::test {

struct World {
  RankContext& ranks;
  Watchdog& watchdog;
};

/// Made by the program's main before the first case.
World& world();

}  // namespace regatta::test
