#pragma once
// Where the runs and the ledger are.

#include <filesystem>
#include <optional>

namespace regatta {

/// $REGATTA_HOME or --home or ~/.regatta; $REGATTA_LEDGER or HOME/ledger.db. Absolute.
struct Home {
  std::filesystem::path folder, ledger;
};
/// Throws ConfigError where none of these is given. `option`: --home.
Home find_home(const std::optional<std::filesystem::path>& option);

}  // namespace regatta
