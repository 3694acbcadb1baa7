#pragma once
// Does the model fit the data? Known once the data are indexed, without torch, so that nothing is launched in vain.

#include <cstdint>
#include <optional>
#include <string>

#include "common/host.hpp"
#include "jobs/dataset_index.hpp"
#include "jobs/spec.hpp"

namespace regatta {

struct Misfit {
  std::string key;      ///< "model.kind"
  std::string message;  ///< with expected and found
  std::string advice;
};

/// What keeps the model from being built for these samples; nothing when it fits. Pure.
std::optional<Misfit> model_misfit(const ModelSpec& model, const DatasetIndex& data);

/// What keeps one rank from having room for it in `memory_bytes`; nothing when it has. Requires a model that fits the
/// data. Pure.
std::optional<Misfit> memory_misfit(const ModelSpec& model, const DatasetIndex& data, const TrainSpec& train,
                                    std::int64_t memory_bytes);

/// Throws ConfigError at the place in the job file for either.
void check_model_fits(const JobSpec& job, const DatasetIndex& data, std::int64_t memory_bytes = host_memory_bytes());

}  // namespace regatta
