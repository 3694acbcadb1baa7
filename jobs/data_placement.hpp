#pragma once
// Where the samples are while a run trains: decoded in the node's memory, or read one by one.

#include "jobs/dataset_index.hpp"

namespace regatta {

/// How much memory decoded samples may take: data.memory, else all of this host's.
struct MemoryLimit {
  std::int64_t bytes = 0;
  bool stated = false;  ///< by data.memory
};
MemoryLimit memory_limit(const DataSpec& data, std::int64_t host_bytes = host_memory_bytes());

/// True: decoded, the data do not fit, and samples are read one by one. Throws DataError where they cannot be, as out
/// of a gzip file. Pure.
bool must_stream(const DatasetIndex& index, MemoryLimit limit);

}  // namespace regatta
