#pragma once
// Before the start: every host of every ssh pool is asked whether it can take its ranks, and each row that it cannot is
// refused with what is missing where.

#include <filesystem>

#include "cluster/ask_hosts.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/progress.hpp"

namespace regatta {

struct HostCheckParts {
  std::filesystem::path runs;    ///< where the runs' folders will be
  std::filesystem::path worker;  ///< of this host
  bool starts = true;            ///< false, of a dry run: nothing is created, here or there
  bool push = false;             ///< copy the installed tree of `worker` to hosts that do not have it
  ProgressDisplay& display;
  KeepWaiting keep_waiting;
};

/// Sets `refused` and `pool.found` of the rows on ssh pools; asks nobody when there are none. Throws LaunchError where
/// this host has no ssh, ConfigError when --push has nothing to copy. Main thread only.
void check_hosts(Preparation& preparation, const HostCheckParts& parts);

}  // namespace regatta
