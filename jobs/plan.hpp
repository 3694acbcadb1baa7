#pragma once
// plan.json: all that a worker needs for one attempt. Made by the coordinator, or by rank 0 of a worker started by
// hand, with the same pure functions. Workers take shares, places and limits from here alone.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/ids.hpp"
#include "common/json.hpp"
#include "common/price.hpp"
#include "jobs/dataset_index.hpp"
#include "jobs/spec.hpp"

namespace regatta {

constexpr int kPlanSchema = 1;

/// Where one configuration runs.
struct Placement {
  std::string configuration, pool;
  Backend backend = Backend::kMpi;
  int nodes = 1, ranks = 1, threads = 1;
  int cores_per_node = 1;               ///< slots of a node as the pool declares them
  bool contended = false;               ///< more ranks x threads than cores: never wins a verdict
  std::vector<std::vector<int>> cores;  ///< by rank, the cores it pins itself to; empty: not pinned
  bool operator==(const Placement&) const = default;
};

/// Sizes at which gradients are cut into buckets, in reverse order of the parameters.
struct BucketLimits {
  std::int64_t first_bytes = 1'000'000;   // small, so that the exchange starts early in the backward pass
  std::int64_t other_bytes = 25'000'000;  // PyTorch DDP's size (Li et al., VLDB 2020, section 3.2.3)
  bool operator==(const BucketLimits&) const = default;
};

struct Plan {
  RunId run;
  std::optional<ComparisonId> comparison;  ///< nothing for a worker started by hand
  JobId job;
  int attempt = 1, repeat = 1;
  TrainingSpec training;
  DatasetIndex dataset;
  Placement placement;
  std::vector<std::int64_t> shares;  ///< weight by rank, see shares.hpp
  BucketLimits buckets;
  std::optional<Price> price;  ///< nothing: costs are null until import knows one

  std::int64_t steps_per_epoch() const;
};

/// What a pool offers, as far as planning is concerned.
struct PoolCapacity {
  std::string name;
  int nodes = 1, cores_per_node = 1;
  int gpus_per_node = 0;
  bool oversubscribe = false;
  std::vector<int> host_cores;  ///< ids of the cores this process may use on this host; empty: unknown (other hosts)
};

/// Places one configuration. Throws ConfigError with position and advice when the pool has too few slots (and does not
/// oversubscribe). `contended` when ranks x threads exceed the host's real cores. Cores are dealt in order, disjoint by
/// rank, whenever they suffice and the pool is this host.
Placement place(const JobSpec& job, const ConfigurationSpec& configuration, const PoolCapacity& pool);

/// Equal shares; everything else as given.
Plan make_plan(const JobSpec& job, const ConfigurationSpec& configuration, const Placement& placement,
               const DatasetIndex& dataset, RunId run, std::optional<ComparisonId> comparison, int repeat, int attempt,
               std::optional<Price> price);

/// The configuration for a worker started by hand: `name`, or the only one with this world size.
/// Throws ConfigError that lists the configurations otherwise.
const ConfigurationSpec& choose_configuration(const JobSpec& job, const std::optional<std::string>& name,
                                              int world_size);

Json to_json(const Plan&);
/// Throws IoError naming the key; checks ranks, shares and cores against each other.
Plan plan_from_json(const Json&);

}  // namespace regatta
