#pragma once
// How the gradient is cut into buckets: a pure function of tensor sizes and limits, the same on every rank. Torch-free.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "jobs/plan.hpp"

namespace regatta {

class RankContext;

/// Where one parameter's gradient lies in the flat buffer.
struct BucketSlot {
  int bucket = 0;
  std::int64_t offset = 0;  ///< elements from the start of the flat buffer
  std::int64_t count = 0;   ///< elements
  bool operator==(const BucketSlot&) const = default;
};

/// Elements [begin, end) of the flat buffer.
struct BucketRange {
  std::int64_t begin = 0, end = 0;
  int parameters = 0;  ///< that lie in it
  bool operator==(const BucketRange&) const = default;
};

/// Buckets in the order in which they are exchanged; they tile the flat buffer without gaps.
struct BucketPlan {
  std::vector<BucketSlot> slots;  ///< by parameter, in registration order
  std::vector<BucketRange> buckets;
  std::int64_t elements = 0;
  std::string hash;  ///< of all of the above

  bool operator==(const BucketPlan&) const = default;
};

/// Parameters in reverse order, because backward makes the last one's gradient first. A bucket is closed when the next
/// parameter would take it over its limit; a parameter larger than the limit has a bucket of its own. `counts`
/// (elements by parameter) has at least one entry.
BucketPlan make_bucket_plan(std::span<const std::int64_t> counts, std::int64_t element_bytes,
                            const BucketLimits& limits);

/// Collective. Throws CommError on every rank, naming the first rank whose hash differs from rank 0's.
void agree_on_bucket_plan(const std::string& hash, RankContext& ranks);

}  // namespace regatta
