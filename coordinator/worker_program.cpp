#include "coordinator/worker_program.hpp"

#include <unistd.h>

#include "common/error.hpp"

namespace regatta {

namespace fs = std::filesystem;

fs::path find_worker(const std::optional<fs::path>& option) {
  fs::path worker =
      option ? fs::absolute(*option) : fs::read_symlink("/proc/self/exe").parent_path() / "regatta-worker";
  if (access(worker.c_str(), X_OK) != 0)
    throw ConfigError("no worker at " + worker.string() + "\n  build regatta-worker, or name one with --worker PATH");
  return worker;
}

}  // namespace regatta
