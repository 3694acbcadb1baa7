#include "jobs/placement.hpp"

#include <algorithm>

#include "common/error.hpp"

namespace regatta {

namespace {

constexpr int kRanksPerSharedGpu = 2;  // NCCL 2.30 and later; gpu_refusal() (cluster/) asks for that version

std::string counted(std::int64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

/// Where `configuration` stands in the file: "configurations[1]".
std::string path_of(const JobSpec& job, const ConfigurationSpec& configuration) {
  const auto found = std::find_if(job.configurations.begin(), job.configurations.end(),
                                  [&](const ConfigurationSpec& other) { return other.name == configuration.name; });
  return "configurations[" + std::to_string(found - job.configurations.begin()) + "]";
}

[[noreturn]] void refuse(const JobSpec& job, const std::string& path, const std::string& message,
                         const std::string& advice) {
  throw ConfigError({job.source.finding(path, message, advice)});
}

/// Ranks that fit on one node; a rank does not straddle nodes.
int ranks_per_node(const ConfigurationSpec& configuration, const PoolCapacity& pool) {
  return configuration.backend == Backend::kNccl ? pool.gpus_per_node : pool.cores_per_node / configuration.threads;
}

std::string offer_of(const PoolCapacity& pool, int slots, const std::string& noun) {
  return "pool \"" + pool.name + "\" (" + counted(pool.nodes, "node") + " with " + counted(slots, noun) +
         (pool.nodes == 1 ? ")" : " each)");
}

void refuse_without_slots(const JobSpec& job, const ConfigurationSpec& configuration, const PoolCapacity& pool) {
  const std::string path = path_of(job, configuration);
  const bool gpus = configuration.backend == Backend::kNccl;
  const std::string offer =
      gpus ? offer_of(pool, pool.gpus_per_node, "GPU") : offer_of(pool, pool.cores_per_node, "core");
  if (!gpus && configuration.threads > pool.cores_per_node)
    refuse(job, path + ".threads",
           "expected at most " + counted(pool.cores_per_node, "thread") + " a rank in " + offer + ", found " +
               std::to_string(configuration.threads),
           "lower threads, choose a pool with larger nodes, or set oversubscribe: true in the pool");
  const std::int64_t fit = std::int64_t{pool.nodes} * ranks_per_node(configuration, pool);
  const std::string kind = gpus ? "" : " of " + counted(configuration.threads, "thread");
  refuse(job, path + ".ranks",
         "expected at most " + counted(fit, "rank") + kind + " in " + offer + ", found " +
             std::to_string(*configuration.ranks),
         gpus
             ? "lower ranks, or choose a pool with more GPUs (gpus_per_node); oversubscribe: true puts two ranks on one"
             : "lower ranks or threads, choose a larger pool, or set oversubscribe: true in the pool");
}

/// The fewest nodes, not below `nodes`, that have cores for the CPU ranks beside those on GPUs, which fill one node
/// after the other and take a core each. Where the pool has too few it is refused, or all of it is taken.
int nodes_beside_gpus(const JobSpec& job, const ConfigurationSpec& configuration, const PoolCapacity& pool, int nodes) {
  std::int64_t room = 0;
  int on_gpus = *configuration.ranks;
  for (int node = 0; node < pool.nodes; ++node) {
    const int here = std::min(on_gpus, pool.gpus_per_node);
    on_gpus -= here;
    room += std::max(0, pool.cores_per_node - here) / configuration.threads;
    if (node + 1 >= nodes && room >= configuration.cpu_ranks) return node + 1;
  }
  if (!pool.oversubscribe)
    refuse(job, path_of(job, configuration) + ".cpu_ranks",
           "expected at most " + counted(room, "rank") + " of " + counted(configuration.threads, "thread") + " in " +
               offer_of(pool, pool.cores_per_node, "core") + " beside " + counted(*configuration.ranks, "rank") +
               " on GPUs, which take a core each, found " + std::to_string(configuration.cpu_ranks),
           "lower cpu_ranks or threads, choose a larger pool, or set oversubscribe: true in the pool");
  return pool.nodes;
}

/// Disjoint, in order; empty where they do not suffice: pinning would make some ranks share cores and leave others
/// alone. A rank on a GPU is counted and not pinned: the threads of autograd, of its loader, of CUDA and of NCCL want
/// more than the one core that launching takes, each for moments.
std::vector<std::vector<int>> deal_cores(const Placement& placement, const std::vector<int>& cores) {
  std::vector<std::vector<int>> dealt;
  auto next = cores.begin();
  for (int rank = 0; rank < placement.ranks; ++rank) {
    const int threads = threads_of(placement, rank);
    if (cores.end() - next < threads) return {};
    dealt.emplace_back(next, is_gpu_rank(placement, rank) ? next : next + threads);
    next += threads;
  }
  return dealt;
}

}  // namespace

bool is_gpu_rank(const Placement& placement, int rank) {
  return placement.backend == Backend::kNccl && rank < placement.ranks - placement.cpu_ranks;
}

int threads_of(const Placement& placement, int rank) {
  return placement.cpu_ranks > 0 && is_gpu_rank(placement, rank) ? 1 : placement.threads;
}

std::vector<int> ranks_by_node(const Placement& placement) {
  std::vector<int> ranks(static_cast<std::size_t>(placement.nodes), placement.ranks / placement.nodes);
  for (int node = 0; node < placement.ranks % placement.nodes; ++node) ++ranks[static_cast<std::size_t>(node)];
  return ranks;
}

Placement place(const JobSpec& job, const ConfigurationSpec& configuration, const PoolCapacity& pool) {
  REGATTA_ENSURE(configuration.pool == pool.name, "a configuration placed in another pool");
  REGATTA_ENSURE(configuration.threads >= 1 && pool.nodes >= 1 && pool.cores_per_node >= 1,
                 "sizes that nobody checked");
  REGATTA_ENSURE(configuration.ranks, "ranks: auto that nobody decided");
  const int ranks = *configuration.ranks;
  REGATTA_ENSURE(ranks >= 1 && configuration.cpu_ranks >= 0, "ranks that nobody checked");
  const int per_node = ranks_per_node(configuration, pool);
  const bool fits = std::int64_t{pool.nodes} * per_node >= ranks;
  const bool on_gpus = configuration.backend == Backend::kNccl;
  const std::int64_t most = on_gpus ? kRanksPerSharedGpu * std::int64_t{pool.nodes} * per_node : ranks;
  const bool may_exceed = pool.oversubscribe && ranks <= most;
  if (!fits && !may_exceed) refuse_without_slots(job, configuration, pool);

  Placement placement;
  placement.configuration = configuration.name;
  placement.pool = pool.name;
  placement.backend = configuration.backend;
  placement.nodes = fits ? (ranks + per_node - 1) / per_node : std::min(pool.nodes, ranks);
  placement.cpu_ranks = on_gpus ? configuration.cpu_ranks : 0;
  if (placement.cpu_ranks > 0) placement.nodes = nodes_beside_gpus(job, configuration, pool, placement.nodes);
  placement.ranks = ranks + placement.cpu_ranks;
  placement.threads = configuration.threads;
  placement.cores_per_node = pool.cores_per_node;
  placement.gpus_per_node = on_gpus ? pool.gpus_per_node : 0;
  placement.contended = !fits && on_gpus;
  if (pool.host_cores.empty()) {
    placement.contended |= !fits;
    return placement;
  }
  placement.cores = deal_cores(placement, pool.host_cores);
  placement.contended |= placement.cores.empty();
  return placement;
}

const ConfigurationSpec& choose_configuration(const JobSpec& job, const std::optional<std::string>& name,
                                              int world_size) {
  std::string list;
  std::vector<const ConfigurationSpec*> matching;
  for (const ConfigurationSpec& configuration : job.configurations) {
    list += (list.empty() ? "" : ", ") + configuration.name + " (" +
            (configuration.ranks ? counted(*configuration.world_size(), "rank") : "auto") + ")";
    if (name ? configuration.name == *name : configuration.world_size() == world_size)
      matching.push_back(&configuration);
  }
  if (!name && matching.empty())
    for (const ConfigurationSpec& configuration : job.configurations)
      if (!configuration.ranks) matching.push_back(&configuration);
  const std::string started = counted(world_size, "rank");
  const std::string advice = "configurations: " + list;
  if (name && matching.empty())
    refuse(job, "configurations", "expected --config to name a configuration, found \"" + *name + "\"", advice);
  if (name && matching.front()->world_size().value_or(world_size) != world_size)
    refuse(job, path_of(job, *matching.front()) + ".ranks",
           "expected as many ranks as were started, which is " + std::to_string(world_size) + ", found " +
               std::to_string(*matching.front()->world_size()),
           "start as many ranks as the configuration has (mpirun -np), or choose another; " + advice);
  if (matching.empty())
    refuse(job, "configurations", "expected a configuration with " + started + ", as many as were started, found none",
           "start another number of ranks (mpirun -np); " + advice);
  if (matching.size() > 1)
    refuse(job, "configurations",
           "expected one configuration with " + started + ", found " + std::to_string(matching.size()),
           "choose one with --config NAME; " + advice);
  return *matching.front();
}

}  // namespace regatta
