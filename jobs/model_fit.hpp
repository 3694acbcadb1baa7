#pragma once
// Does the model fit the data? Known once the data are indexed, without torch, so that nothing is launched in vain.

#include <optional>
#include <string>

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

/// Throws ConfigError at the place in the job file.
void check_model_fits(const JobSpec& job, const DatasetIndex& data);

}  // namespace regatta
