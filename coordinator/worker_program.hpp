#pragma once
// Which regatta-worker the coordinator starts.

#include <filesystem>
#include <optional>

namespace regatta {

/// `option`, else the one beside this program; absolute. Throws ConfigError where there is none.
std::filesystem::path find_worker(const std::optional<std::filesystem::path>& option);

}  // namespace regatta
