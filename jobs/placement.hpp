#pragma once
// Which nodes and cores a configuration takes, and which configuration a worker started by hand means. Pure.

#include <optional>
#include <string>
#include <vector>

#include "jobs/spec.hpp"

namespace regatta {

/// Where one configuration runs.
struct Placement {
  std::string configuration, pool;
  Backend backend = Backend::kMpi;
  int nodes = 1, ranks = 1, threads = 1;
  int cpu_ranks = 0;                    ///< the last of `ranks`, beside those on GPUs; `threads` are theirs then
  int cores_per_node = 1;               ///< slots of a node as the pool declares them
  int gpus_per_node = 0;                ///< the same for backend nccl; 0: not on GPUs
  bool contended = false;               ///< more ranks x threads than cores: never wins a verdict
  std::vector<std::vector<int>> cores;  ///< by rank, the cores it pins itself to; empty: not pinned
  bool operator==(const Placement&) const = default;
};

/// Whether the rank computes on a GPU: with backend nccl all but the last `cpu_ranks`.
bool is_gpu_rank(const Placement& placement, int rank);

/// One for a rank on a GPU that has CPU ranks beside it, which only launches; else the placement's.
int threads_of(const Placement& placement, int rank);

/// How many ranks each node has, in order; the first ones one more where they do not come out even.
std::vector<int> ranks_by_node(const Placement& placement);

/// What a pool offers, as far as planning is concerned.
struct PoolCapacity {
  std::string name;
  int nodes = 1, cores_per_node = 1;
  int gpus_per_node = 0;
  bool oversubscribe = false;
  std::vector<int> host_cores;  ///< ids of the cores this process may use on this host; empty: unknown (other hosts)
};

/// Places one configuration, whose ranks are known. Throws ConfigError with position and advice when the pool has too
/// few slots (and does not oversubscribe; of GPUs, two ranks on one at most). Beside CPU ranks each rank on a GPU takes
/// a core. `contended` when ranks x threads exceed the host's real cores. Cores are dealt in order, disjoint by rank,
/// whenever they suffice and the pool is this host.
Placement place(const JobSpec& job, const ConfigurationSpec& configuration, const PoolCapacity& pool);

/// The configuration for a worker started by hand: `name`, or the only one with this world size (CPU ranks beside GPUs
/// are counted), or else the only one
/// with ranks: auto, which takes as many as were started.
/// Throws ConfigError that lists the configurations otherwise.
const ConfigurationSpec& choose_configuration(const JobSpec& job, const std::optional<std::string>& name,
                                              int world_size);

}  // namespace regatta
