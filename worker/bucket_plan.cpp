#include "worker/bucket_plan.hpp"

#include <fmt/format.h>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "worker/rank_context.hpp"

namespace regatta {
namespace {

std::string hash_of(const BucketPlan& plan, std::int64_t element_bytes) {
  std::string text = fmt::format("bytes {}\n", element_bytes);
  for (const BucketSlot& slot : plan.slots) text += fmt::format("{} {} {}\n", slot.bucket, slot.offset, slot.count);
  return xxh3_hex(text);
}

}  // namespace

BucketPlan make_bucket_plan(std::span<const std::int64_t> counts, std::int64_t element_bytes,
                            const BucketLimits& limits) {
  REGATTA_ENSURE(!counts.empty() && element_bytes > 0, "a model without parameters has no buckets");
  BucketPlan plan;
  plan.slots.resize(counts.size());
  for (std::size_t i = counts.size(); i-- > 0;) {
    const std::int64_t limit = plan.buckets.size() <= 1 ? limits.first_bytes : limits.other_bytes;
    const bool full =
        plan.buckets.empty() || (plan.elements + counts[i] - plan.buckets.back().begin) * element_bytes > limit;
    if (full) plan.buckets.push_back({plan.elements, plan.elements, 0});
    plan.slots[i] = {static_cast<int>(plan.buckets.size()) - 1, plan.elements, counts[i]};
    plan.elements += counts[i];
    plan.buckets.back().end = plan.elements;
    ++plan.buckets.back().parameters;
  }
  plan.hash = hash_of(plan, element_bytes);
  return plan;
}

void agree_on_bucket_plan(const std::string& hash, RankContext& ranks) {
  const std::vector<std::string> hashes = ranks.gather(hash);  // at rank 0
  std::string finding;
  for (std::size_t rank = 0; rank < hashes.size() && finding.empty(); ++rank) {
    if (hashes[rank] != hash)
      finding = fmt::format(
          "bucket plan of rank {}: expected {} as on rank 0, found {}; do all ranks run the same build and plan?", rank,
          hash, hashes[rank]);
  }
  finding = ranks.broadcast(finding);
  if (!finding.empty()) throw CommError(finding);
}

}  // namespace regatta
