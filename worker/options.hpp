#pragma once
// The command line of regatta-worker.

#include <variant>

#include "common/error.hpp"
#include "worker/worker.hpp"

namespace regatta {

/// What to run, or with which code to leave at once: kDone after --help and --version, kBadConfig after an error.
/// Prints help, version and errors when `speak`: one rank of a launch does.
std::variant<WorkerOptions, ExitCode> parse_worker_options(int argc, const char* const* argv, bool speak);

}  // namespace regatta
