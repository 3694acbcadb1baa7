#include "jobs/shares.hpp"

#include <algorithm>

#include "common/error.hpp"

namespace regatta {

namespace {
__extension__ using Wide = __int128;  // size x weight does not fit 64 bits for large weights
}

PositionRange global_batch(std::int64_t count, std::int64_t batch_size, std::int64_t batch) {
  REGATTA_ENSURE(batch >= 0 && batch < batches_per_epoch(count, batch_size), "a batch outside the epoch");
  const std::int64_t begin = batch * batch_size;
  return {begin, begin + std::min(batch_size, count - begin)};
}

std::int64_t batches_per_epoch(std::int64_t count, std::int64_t batch_size) {
  REGATTA_ENSURE(count >= 0 && batch_size >= 1, "an epoch needs samples and a batch size");
  return count / batch_size + (count % batch_size != 0 ? 1 : 0);
}

PositionRange share_of(PositionRange range, std::span<const std::int64_t> weights, int rank) {
  REGATTA_ENSURE(range.size() >= 0, "a range that ends before it begins");
  REGATTA_ENSURE(rank >= 0 && static_cast<std::size_t>(rank) < weights.size(), "a rank without a weight");
  Wide before = 0, through = 0, total = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    REGATTA_ENSURE(weights[i] >= 0, "a negative weight");
    total += weights[i];
    if (i < static_cast<std::size_t>(rank)) before += weights[i];
    if (i <= static_cast<std::size_t>(rank)) through += weights[i];
  }
  REGATTA_ENSURE(total > 0, "weights that are all zero");
  const Wide size = range.size();
  return {range.begin + static_cast<std::int64_t>(size * before / total),
          range.begin + static_cast<std::int64_t>(size * through / total)};
}

std::int64_t passes_of(std::int64_t size, std::span<const std::int64_t> weights, std::int64_t most) {
  REGATTA_ENSURE(most >= 1, "passes of at least one sample");
  std::int64_t largest = 1;
  for (std::size_t rank = 0; rank < weights.size(); ++rank)
    largest = std::max(largest, share_of({0, size}, weights, static_cast<int>(rank)).size());
  return largest / most + (largest % most != 0 ? 1 : 0);
}

PositionRange micro_batch(PositionRange global, std::int64_t parts, std::int64_t part) {
  REGATTA_ENSURE(part >= 0 && part < parts, "a part beyond the last one");
  const Wide size = global.size();
  return {global.begin + static_cast<std::int64_t>(size * part / parts),
          global.begin + static_cast<std::int64_t>(size * (part + 1) / parts)};
}

}  // namespace regatta
