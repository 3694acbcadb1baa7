#include "coordinator/home.hpp"

#include <cstdlib>

#include "common/error.hpp"

namespace regatta {

Home find_home(const std::optional<std::filesystem::path>& option) {
  const auto variable = [](const char* name) -> std::optional<std::filesystem::path> {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0' ? std::optional<std::filesystem::path>(value) : std::nullopt;
  };
  Home home;
  if (const auto named = option ? option : variable("REGATTA_HOME"))
    home.folder = std::filesystem::absolute(*named);
  else if (const auto user = variable("HOME"))
    home.folder = *user / ".regatta";
  else
    throw ConfigError(
        "no home for the ledger: neither --home, $REGATTA_HOME nor $HOME is set\n  name one with --home DIR");
  home.ledger = std::filesystem::absolute(variable("REGATTA_LEDGER").value_or(home.folder / "ledger.db"));
  return home;
}

}  // namespace regatta
