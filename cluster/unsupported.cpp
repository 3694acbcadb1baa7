// What the schema of the cluster file accepts and this version does not do yet. A later version deletes lines.

#include <fmt/format.h>

#include "cluster/spec.hpp"

namespace regatta {

std::vector<Diagnostic> unsupported(const ClusterSpec& cluster) {
  Findings findings(cluster.source);
  for (const PoolSpec& pool : cluster.pools) {
    const auto note = [&](const char* key, bool later, const std::string& found, const std::string& instead) {
      const std::string path = "pools." + pool.name + "." + key;
      if (later && findings.positions().written(path))
        findings.add(path, fmt::format("not in this version (expected {}, found {})", instead, found),
                     "write " + instead + ", or leave the key out; jobs/SCHEMA.md says what this version does");
    };
    note("launcher", pool.launcher == LauncherKind::kSlurm, to_text(pool.launcher), "local or ssh");
  }
  return findings.sorted();
}

}  // namespace regatta
