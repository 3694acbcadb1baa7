#pragma once
// plan.json: all that a worker needs for one attempt. Made by the coordinator, or by rank 0 of a worker started by
// hand, with the same pure functions. Workers take shares, places and limits from here alone.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/energy.hpp"
#include "common/ids.hpp"
#include "common/json.hpp"
#include "common/price.hpp"
#include "common/time.hpp"
#include "jobs/choice.hpp"
#include "jobs/dataset_index.hpp"
#include "jobs/lane_choice.hpp"
#include "jobs/linear_kernels.hpp"
#include "jobs/placement.hpp"
#include "jobs/spec.hpp"

namespace regatta {

constexpr int kPlanSchema = 1;

/// Sizes at which gradients are cut into buckets, in reverse order of the parameters.
struct BucketLimits {
  std::int64_t first_bytes = 1'000'000;   // small, so that the exchange starts early in the backward pass
  std::int64_t other_bytes = 25'000'000;  // PyTorch DDP's size (Li et al., VLDB 2020, section 3.2.3)
  bool operator==(const BucketLimits&) const = default;
};

/// A short run on the real batches, to learn how fast and how exact a way of running the job is.
struct TrialLimits {
  std::int64_t least_steps = 8, most_steps = 40;
  double seconds = 4;  ///< of steps: between the two, the trial ends after these
  bool operator==(const TrialLimits&) const = default;
};

/// Weights by rank that hold from a step on, until the next ones.
struct ShareChange {
  std::int64_t from_step = 1;  ///< of the run, from 1
  std::vector<std::int64_t> weights;
  bool operator==(const ShareChange&) const = default;
};

struct Plan {
  RunId run;
  std::optional<ComparisonId> comparison;  ///< nothing for a worker started by hand
  JobId job;
  int attempt = 1, repeat = 1;
  TrainingSpec training;
  DatasetIndex dataset;
  std::optional<IndexedFile> weights;  ///< the file of model.weights, as it lay there when the plan was made
  bool streamed = false;               ///< samples are read one by one while it trains, because they do not fit decoded
  Placement placement;
  std::vector<std::int64_t> shares;  ///< weight by rank, see shares.hpp; of the first step
  /// Nothing: as train.shares says; else these and no others, for the same bits again. In the order of their steps.
  std::optional<std::vector<ShareChange>> share_changes;
  BucketLimits buckets;
  std::optional<LinearKernels> kernels;  ///< nothing: rank 0 measures; else taken as they are, for the same bits again
  std::optional<LaneChoice> lanes;       ///< likewise of sums over nodes
  std::optional<TrialLimits> trial;      ///< nothing: a run
  std::optional<Choice> choice;          ///< how `auto` became what training and placement say
  std::optional<Price> price;            ///< nothing: costs are null until import knows one
  std::optional<PowerSpec> power;        ///< of a node, where meters cannot be read; nothing: no energy then
  NanoUsd spent;                         ///< by earlier attempts of the run
  std::optional<Timestamp> launched_at;  ///< since when this attempt is billed; nothing: from the start of the process

  std::int64_t steps_per_epoch() const;
};

/// Equal shares; streamed where the data must be; everything else as given. Throws ConfigError for a stop by cost
/// without a price.
Plan make_plan(const JobSpec& job, const ConfigurationSpec& configuration, const Placement& placement,
               const DatasetIndex& dataset, RunId run, std::optional<ComparisonId> comparison, int repeat, int attempt,
               std::optional<Price> price, std::int64_t host_bytes = host_memory_bytes());

Json to_json(const Plan&);
/// Throws IoError naming the key; checks ranks, shares and cores against each other.
Plan plan_from_json(const Json&);

}  // namespace regatta
