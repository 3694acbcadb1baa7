#pragma once
// What /proc says about processes of this machine.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/host.hpp"
#include "common/time.hpp"

namespace regatta {

/// Differs after every boot.
std::string boot_id();

/// Field 22 of /proc/PID/stat: clock ticks since boot, which tells a process from a later one with the same id.
/// Nothing when there is no such process, or only its zombie.
std::optional<std::int64_t> start_time_of(std::int64_t pid);

/// When it started, by the wall clock, within a second or so. Nothing as above.
std::optional<Timestamp> started_at(std::int64_t pid);

/// Processes whose command line has `--run-dir RUN_DIR`: the launcher and the ranks of a run. No zombies, and not this
/// process.
std::vector<std::int64_t> processes_of_run(const std::string& run_dir);

/// Waits until processes_of_run is empty; past `patience` they are strays and are killed. True when none is left.
bool wait_for_end_of_run(const std::string& run_dir, std::chrono::milliseconds patience);

}  // namespace regatta
