#pragma once
// How parameters and gradients lie in the memory that the ranks of a host share, and who owns what of it: a pure
// function of sizes, the same on every rank. Torch-free.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace regatta {

/// Elements from which slices begin: a cache line of bfloat16, two of float32.
inline constexpr std::int64_t kSliceGrain = 32;

struct NodeParameter {
  std::int64_t count = 0;          ///< elements
  std::int64_t element_bytes = 0;  ///< of the numbers that the model computes with, and of its gradient
  bool operator==(const NodeParameter&) const = default;
};

/// Where one parameter lies.
struct NodeSlot {
  int bucket = 0;
  std::int64_t begin = 0;  ///< elements from the bucket's first one, a multiple of the grain
  std::int64_t count = 0;
};

/// Elements of one size, shared out among all ranks and exchanged together.
struct NodeBucket {
  std::int64_t element_bytes = 0;
  std::int64_t first_byte = 0;          ///< from the segment's start, a multiple of the page
  std::int64_t first_element = 0;       ///< from the first bucket's first one: where masters lie
  std::int64_t elements = 0;            ///< gaps included, a multiple of the grain
  std::vector<std::size_t> parameters;  ///< as they lie
};

/// Elements [begin, end).
struct Slice {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
  bool operator==(const Slice&) const = default;
};

struct NodeLayout {
  std::vector<NodeSlot> slots;      ///< by parameter, in registration order
  std::vector<NodeBucket> buckets;  ///< in the order in which they are exchanged
  std::int64_t bytes = 0;           ///< of one copy of everything: a segment of gradients, or of parameters
  std::int64_t elements = 0;
  std::string hash;
};

/// Parameters in reverse order, because backward makes the last one's gradient first; a bucket holds one size of
/// elements, and is closed when the next parameter would take it over the limit. They are exchanged in the order in
/// which backward completes them. Nothing on a wire makes large buckets
/// cheap here: small ones are applied while their gradients are still in the cache, and share work evenly.
NodeLayout make_node_layout(std::span<const NodeParameter> parameters, std::int64_t bucket_bytes);

/// What `rank` of `ranks` sums and applies: slices of a bucket tile it, multiples of the grain.
Slice slice_of(const NodeBucket& bucket, int rank, int ranks);
/// The part of it that lies in a parameter, elements from that parameter's first one; may be empty.
Slice slice_within(const Slice& slice, const NodeSlot& slot);

}  // namespace regatta
