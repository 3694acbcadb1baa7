#pragma once
// Raw samples of one split, by number: out of the node's shared memory, or read and decoded one by one.

#include <cstdint>
#include <memory>

#include "jobs/plan.hpp"
#include "jobs/sample_reader.hpp"
#include "worker/node_dataset.hpp"

namespace regatta {

struct RawSample {
  const std::uint8_t* bytes = nullptr;  // (H, W, C) uint8; text (length + 1) classes
  std::int64_t label = 0;
};

/// One instance a thread.
class SampleSource {
 public:
  virtual ~SampleSource() = default;
  /// Valid until the next call. Throws DataError: a sample that the split does not have, a file that cannot be read.
  virtual RawSample sample(std::int64_t number) = 0;
};

/// `split` must outlive it; `sample_bytes` as the index says.
std::unique_ptr<SampleSource> samples_in_memory(const DecodedSplit& split, std::int64_t sample_bytes);
/// Holds one sample at a time. The index of `plan` must outlive it.
std::unique_ptr<SampleSource> streamed_samples(const Plan& plan, Split split);
/// As the plan says.
std::unique_ptr<SampleSource> open_source(const Plan& plan, const NodeDataset& data, Split split);

}  // namespace regatta
