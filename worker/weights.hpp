#pragma once
// What a run leaves behind: weights.safetensors and result.json, both by rank 0, both whole or not there.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/json.hpp"
#include "jobs/models.hpp"
#include "jobs/plan.hpp"
#include "worker/trainer.hpp"

namespace regatta {

struct WeightsFile {
  std::string file;  ///< name within the run directory
  std::int64_t bytes = 0;
  std::string xxh3;
};

/// Writes RUN_DIR/weights.safetensors, an exchanger's weights and a model's buffers, as load_state_dict wants them:
/// temporary, fsync, rename. Throws IoError.
WeightsFile write_weights(const std::filesystem::path& run_dir, const std::vector<Parameter>& parameters,
                          const NamedTensors& buffers, const Plan& plan);

/// RUN_DIR/result.json:
///   {"schema": 1, "run_id", "attempt", "status": done | stopped | failed, "reason", "message", "exit_code", "epochs",
///    "steps", "train_loss", "test_loss", "test_accuracy", "wall_s", "weights": {"file", "bytes", "xxh3"} or null}
/// wall_s counts from process start. Non-finite and absent numbers are null.
Json result_json(const Plan& plan, const TrainingResult& result, const std::string& message, double wall_s,
                 const std::optional<WeightsFile>& weights);
void write_result(const std::filesystem::path& run_dir, const Json& result);

}  // namespace regatta
