#include "worker/node_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common/error.hpp"
#include "common/hash.hpp"

namespace regatta {
namespace {

constexpr std::int64_t kPage = 4096;

std::int64_t rounded_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::string hash_of(const NodeLayout& layout) {
  std::string text;
  for (const NodeBucket& bucket : layout.buckets)
    text += fmt::format("bucket {} {} {}\n", bucket.element_bytes, bucket.first_byte, bucket.elements);
  for (const NodeSlot& slot : layout.slots) text += fmt::format("{} {} {}\n", slot.bucket, slot.begin, slot.count);
  return xxh3_hex(text);
}

}  // namespace

NodeLayout make_node_layout(std::span<const NodeParameter> parameters, std::int64_t bucket_bytes) {
  REGATTA_ENSURE(!parameters.empty(), "a model without parameters has nothing to exchange");
  NodeLayout layout;
  layout.slots.resize(parameters.size());
  std::map<std::int64_t, std::size_t> open;  // the bucket that is being filled, by size of element
  for (std::size_t i = parameters.size(); i-- > 0;) {
    const auto& [count, element_bytes] = parameters[i];
    const std::int64_t room = rounded_up(count, kSliceGrain);
    const auto found = open.find(element_bytes);
    if (found == open.end() || (layout.buckets[found->second].elements + room) * element_bytes > bucket_bytes) {
      open[element_bytes] = layout.buckets.size();
      layout.buckets.push_back({.element_bytes = element_bytes});
    }
    NodeBucket& bucket = layout.buckets[open[element_bytes]];
    layout.slots[i] = {.begin = bucket.elements, .count = count};
    bucket.parameters.push_back(i);
    bucket.elements += room;
  }
  // By when they are complete: one with few small parameters stays open long.
  std::sort(layout.buckets.begin(), layout.buckets.end(),
            [](const NodeBucket& a, const NodeBucket& b) { return a.parameters.back() > b.parameters.back(); });
  for (std::size_t b = 0; b < layout.buckets.size(); ++b) {
    NodeBucket& bucket = layout.buckets[b];
    for (const std::size_t i : bucket.parameters) layout.slots[i].bucket = static_cast<int>(b);
    bucket.first_byte = layout.bytes;
    bucket.first_element = layout.elements;
    layout.bytes += rounded_up(bucket.elements * bucket.element_bytes, kPage);
    layout.elements += bucket.elements;
  }
  layout.hash = hash_of(layout);
  return layout;
}

Slice slice_of(const NodeBucket& bucket, int rank, int ranks) {
  const std::int64_t grains = bucket.elements / kSliceGrain;
  return {grains * rank / ranks * kSliceGrain, grains * (rank + 1) / ranks * kSliceGrain};
}

Slice slice_within(const Slice& slice, const NodeSlot& slot) {
  const std::int64_t begin = std::clamp<std::int64_t>(slice.begin - slot.begin, 0, slot.count);
  return {begin, std::clamp<std::int64_t>(slice.end - slot.begin, begin, slot.count)};
}

}  // namespace regatta
