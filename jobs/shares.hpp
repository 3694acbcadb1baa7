#pragma once
// Who reads which part of a global batch. A share is a pure function of the batch's size and integer weights.

#include <cstdint>
#include <span>
#include <vector>

namespace regatta {

/// Positions [begin, end) of an epoch.
struct PositionRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
  bool operator==(const PositionRange&) const = default;
};

/// Global batch `batch` (from 0) of an epoch over `count` samples: [batch*size, min((batch+1)*size, count)).
PositionRange global_batch(std::int64_t count, std::int64_t batch_size, std::int64_t batch);
/// ceil(count / batch_size): the short last batch is kept.
std::int64_t batches_per_epoch(std::int64_t count, std::int64_t batch_size);

/// Rank's part of `range`: boundaries at floor(size * prefix_weight / total_weight), so that the parts tile the range
/// in rank order without gaps. A part may be empty. Weights >= 0, their sum > 0.
PositionRange share_of(PositionRange range, std::span<const std::int64_t> weights, int rank);

/// Part `part` of `parts` that a global batch is cut into for accumulation, as even as possible. Each rank then takes
/// its share of every part, so that what a part holds does not depend on the number of ranks.
PositionRange micro_batch(PositionRange global, std::int64_t parts, std::int64_t part);

/// Passes in which every rank computes its share of `size` samples, none of more than `most`: as many on each rank, so
/// that a model whose passes meet all ranks (sync batch norm) may take them. At least 1.
std::int64_t passes_of(std::int64_t size, std::span<const std::int64_t> weights, std::int64_t most);

}  // namespace regatta
