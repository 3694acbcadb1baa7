#pragma once
// Where the time of a step goes: by activity and rank, and by bucket. Pure functions of the steps that ranks kept.

#include <cstdint>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "common/step_laps.hpp"

namespace regatta {

/// Seconds are medians over the steps that a rank kept, by rank. A step's own `after` is no part of it.
struct StepAnatomy {
  struct Row {
    Activity activity = Activity::kOther;
    std::vector<double> seconds;  ///< by rank, of a step, over all buckets
    double share = 0;             ///< of all ranks' time in all steps; shares sum to 1
  };
  struct Bucket {
    std::int64_t bytes = 0;
    std::vector<double> publish_s, wait_s, reduce_s, apply_s;  ///< by rank
    double early = 0;  ///< share of the steps in which it was applied while backward still ran, over all ranks
  };
  RunId run;
  int attempt = 1;
  std::string exchanger;
  std::int64_t last_step = 0;
  std::vector<std::int64_t> steps;  ///< that every rank kept
  std::vector<double> wall_s;       ///< by rank
  std::vector<Row> activities;      ///< those that took time, in the order of a step
  std::vector<Bucket> buckets;
};

/// Of all ranks of a run, by rank. Throws Error (exit code 1) where some rank kept no step.
StepAnatomy anatomy_of(const std::vector<RankSteps>& ranks);

Json to_json(const StepAnatomy& anatomy);
/// Tables in milliseconds. Ends with a newline.
std::string to_page(const StepAnatomy& anatomy, bool colour);

}  // namespace regatta
