#pragma once
// Everything `regatta run` settles before it touches anything: files read and checked, data indexed, rows placed and
// priced. Creates nothing.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cluster/gpus.hpp"
#include "cluster/inventory.hpp"
#include "cluster/spec.hpp"
#include "jobs/plan.hpp"

namespace regatta {

struct RunOptions {
  std::filesystem::path job;
  std::optional<std::filesystem::path> cluster;
  std::vector<std::string> only, set;  ///< names; "train.batch=256"
  bool contended = false;              ///< do not wait for slots; every row is marked
};

/// One configuration with its place and price. `order` is its place in the job file. What `auto` leaves open stands at
/// the first of `ways` until settle() makes it the chosen one.
struct PlannedRow {
  ConfigurationSpec configuration;
  int order = 0;
  PoolSpec pool;
  PoolCapacity capacity;
  std::vector<Way> ways;                 ///< to try; empty: nothing is `auto`
  std::optional<Choice> choice;          ///< among them
  std::optional<LinearKernels> kernels;  ///< of an earlier run; nothing: the worker measures
  std::optional<LaneChoice> lanes;       ///< likewise
  Placement placement;
  Price price;
  std::optional<PowerSpec> power;
  DatasetIndex dataset;
  std::string refused;  ///< why this machine cannot do it; it is recorded so, and the other rows run. Empty: it can
};

struct Preparation {
  JobSpec job;
  std::string job_text;  ///< as written; with --set as it then reads
  std::optional<std::string> cluster_text;
  std::vector<PlannedRow> rows;        ///< at least one
  std::optional<IndexedFile> weights;  ///< that all of them start from
};

/// Which GPUs there are; asked once, and only when a row wants one.
using AskGpus = std::function<GpuReport()>;

/// Throws ConfigError with every finding of both files at once, DataError when the dataset cannot be indexed.
Preparation prepare(const RunOptions& options, const Inventory& machine, const AskGpus& ask_gpus,
                    const IndexProgress& progress = {});

/// The row runs as chosen.
void settle(const JobSpec& job, PlannedRow& row, const Choice& choice);
/// The row as it would run in one of its ways.
PlannedRow in_way(const JobSpec& job, const PlannedRow& row, const Way& way);

/// One run of the comparison. The order of runs is interleaved, A B C A B C, so that a slow drift of the machine meets
/// every configuration alike.
Plan plan_run(const Preparation& preparation, const PlannedRow& row, RunId run, std::optional<ComparisonId> comparison,
              int repeat);

}  // namespace regatta
