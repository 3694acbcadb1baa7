#pragma once
// model.weights: the safetensors file that training starts from, checked against the model by name and shape before
// anything is launched. Torch-free.

#include <optional>
#include <string>

#include "jobs/dataset_index.hpp"
#include "jobs/model_layout.hpp"
#include "jobs/safetensors.hpp"
#include "jobs/spec.hpp"

namespace regatta {

/// Read once: what stands in the file, and which file it was.
struct StartWeights {
  IndexedFile file;  ///< role "weights", path, bytes, xxh3
  SafetensorsFile content;
};

/// Throws DataError for a file that cannot be read or is no safetensors file.
StartWeights read_start_weights(const std::filesystem::path& path);

/// The first few tensors of `content` that are missing, unexpected or of another shape or type than the model's, each
/// with expected and found; nothing when load_state_dict(strict=True) would take it. Any floating-point type will do.
/// Pure.
std::optional<std::string> weights_misfit(const ModelLayout& layout, const SafetensorsFile& content);

/// The file of model.weights as it lies there now; nothing when the job names none. Throws ConfigError at the place in
/// the job file when it is another model's, DataError as read_start_weights().
std::optional<IndexedFile> index_start_weights(const JobSpec& job, const DatasetIndex& data);

/// For a rank of a launched training. Throws DataError when the file is not the one that was indexed.
SafetensorsFile read_indexed_weights(const IndexedFile& indexed);

}  // namespace regatta
