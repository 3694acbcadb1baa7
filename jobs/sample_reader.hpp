#pragma once
// Single samples of a split that is not decoded as a whole: larger than memory, or read by several threads at once.

#include <cstdint>
#include <memory>

#include "jobs/dataset_index.hpp"

namespace regatta {

/// One instance a thread; keeps its buffers. The index outlives it.
class SampleReader {
 public:
  virtual ~SampleReader() = default;
  /// Writes sample `sample`, index.sample_bytes() bytes as in RawSamples, and returns its label. Throws DataError:
  /// which file, what was expected, found, what to do; also when the file changed after indexing.
  virtual std::int64_t read(std::int64_t sample, std::uint8_t* bytes) = 0;
};

/// Can single samples of this dataset be read? Not out of the middle of a gzip file. Touches no file.
bool can_read_samples(const DatasetIndex& index);
/// Needs can_read_samples().
std::unique_ptr<SampleReader> open_samples(const DatasetIndex& index, std::uint64_t seed, Split split);

/// Hashes the files that many samples share (idx, text) and throws DataError when one changed after indexing. Call it
/// once a node before its readers are opened: they notice only what is written to such a file later. Images are checked
/// one by one as they are read. Takes reading_allowance(the files' bytes) at most.
void expect_unchanged(const DatasetIndex& index);

}  // namespace regatta
