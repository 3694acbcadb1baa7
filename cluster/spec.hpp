#pragma once
// What a cluster file says, as plain values; SCHEMA.md in jobs/ is the reference for both files.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/energy.hpp"
#include "common/findings.hpp"
#include "common/price.hpp"
#include "common/time.hpp"

namespace regatta {

enum class LauncherKind { kLocal, kSsh, kSlurm };
const char* to_text(LauncherKind);

/// Owners of machines: node_usd over lifetime and utilisation, plus electricity. METRICS.md has the formula.
struct OwnerPrice {
  NanoUsd node_usd;
  double lifetime_years = 0, utilisation = 0, watts = 0;
  NanoUsd usd_per_kwh;
};

/// What asking an ssh pool's hosts has found before a launch; not in the file.
struct HostsFound {
  std::string ranks_network;         ///< that all hosts share: an interface's name or CIDR; empty: Open MPI's choice
  std::string daemons_network;       ///< likewise, of this host too
  std::filesystem::path worker;      ///< where --push has put it, or would; empty: where it is here
  std::vector<std::string> lacking;  ///< of a dry run: hosts to which --push would copy it
  std::int64_t push_bytes = 0;       ///< to each of them
};

struct PoolSpec {
  std::string name;
  LauncherKind launcher = LauncherKind::kLocal;
  int nodes = 1;
  std::optional<int> cores_per_node;  ///< nothing: as hwloc sees this machine (launcher local only)
  std::optional<int> gpus_per_node;   ///< nothing: none, or on this machine as many as CUDA sees
  bool oversubscribe = false;
  std::optional<Price> price;  ///< owner's prices are already turned into an hourly one
  std::optional<PowerSpec> power;
  std::vector<std::string> hosts;  ///< ssh
  std::optional<std::filesystem::path> ssh_config;
  std::string push_to;  ///< folder on the hosts for `--push`; empty: ~/.cache/regatta
  HostsFound found;
  std::string partition, account, qos, constraint, time;  ///< slurm
  std::vector<std::string> extra;
  std::string interface, gres;
  std::optional<double> queue_timeout_s;
};

struct ClusterSpec {
  std::vector<PoolSpec> pools;  ///< in file order
  SourcePositions source;       ///< "pools.here.nodes" -> line, column
  /// Null when there is none.
  const PoolSpec* find(const std::string& name) const;
};

/// Reads and checks the file like a job file. Throws ConfigError with every finding.
ClusterSpec read_cluster_file(const std::filesystem::path& path);
ClusterSpec read_cluster_text(const std::string& text, const std::string& name, const std::filesystem::path& folder);
/// No cluster file: one pool `here`, this machine, launcher local.
ClusterSpec default_cluster();

/// `slot` for the pool `here`, else `node`.
Billing default_billing(const std::string& pool);

/// Hourly price of an owned node: node_usd / (lifetime_years x 8760 h x utilisation) + watts / 1000 x usd_per_kwh
/// (METRICS.md, section 5), rounded to the nano-dollar; market `owned`, kind `estimated`.
Price owned_price(const OwnerPrice& owner);

}  // namespace regatta
