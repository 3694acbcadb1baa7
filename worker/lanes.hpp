#pragma once
// Sums of a bucket over nodes: each rank exchanges its own slice of its node's sum with the ranks that own the same
// elements on the other nodes, so that all ranks drive the network, while the trainer thread computes.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "jobs/lane_choice.hpp"
#include "jobs/spec.hpp"
#include "worker/node_layout.hpp"
#include "worker/node_map.hpp"
#include "worker/slice_kernels.hpp"
#include "worker/step_votes.hpp"

namespace regatta {

class RankContext;

struct LaneOptions {
  Wire wire = Wire::kSame;
  LaneChoice choice;
};

/// One a rank, over the context's world. Trainer thread only; a thread of its own keeps messages moving meanwhile, and
/// calls MPI only between expect_sums and finish: then nobody else may. Throws CommError.
///
/// With bfloat16 on the wire every sum that is rounded keeps what rounding took, and adds it to the next one (Seide et
/// al., Interspeech 2014): a rank of what it sends, and of the sums that it makes for others.
class Lanes {
 public:
  virtual ~Lanes() = default;
  virtual std::size_t nodes() const = 0;

  /// From here on messages of other nodes may come; all buckets follow.
  virtual void expect_sums() = 0;
  /// The sum of `gradients`, one a rank of this node, is this node's from `element` on, inside this rank's slice.
  virtual void put(std::size_t bucket, std::int64_t element, std::int64_t count,
                   std::span<const std::byte* const> gradients, Number number) = 0;
  /// The whole slice was put: sends it. Buckets begin in the same order on all ranks.
  virtual void start(std::size_t bucket) = 0;
  /// Until the sum over nodes is here; inside a watched wait.
  virtual void wait(std::size_t bucket) = 0;
  /// From then on, until sums are expected again: what, added up in this order, is the sum from `element` on; with its
  /// numbers. The same bits on every node.
  virtual std::vector<const std::byte*> sum(std::size_t bucket, std::int64_t element) const = 0;
  virtual Number number(std::size_t bucket) const = 0;

  /// The votes of a node, brought by its first rank, which alone gets the sum over nodes.
  virtual void start_votes(const Ballot& votes) = 0;
  virtual Ballot wait_votes() = 0;
  virtual void finish() = 0;  ///< waits until nothing is under way

  /// Sums over all ranks of the world, at any time. Collective.
  virtual void allreduce(std::span<double> values) = 0;

  virtual std::int64_t take_bytes_sent() = 0;
  virtual double take_busy_s() = 0;  ///< seconds since the last call in which a sum was under way
};

/// Collective. `weights`: the numbers that sums are made in, float32 or float64.
std::unique_ptr<Lanes> make_lanes(const NodeLayout& layout, NodeMap map, Number weights, const LaneOptions& options,
                                  const SliceKernels& kernels, RankContext& ranks);

}  // namespace regatta
