#pragma once
// The memory that the ranks of a host share, laid out as node_layout.hpp says: a segment of parameters a NUMA domain, a
// segment of gradients a rank, float32 masters where the parameters are bfloat16.

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "worker/exchanger.hpp"
#include "worker/node_layout.hpp"
#include "worker/rank_context.hpp"
#include "worker/shared_count.hpp"

namespace regatta {

/// What a rank tells the others beside its gradients.
struct RankBoard {
  SharedCount published, applied;  ///< buckets since the start of the run; steps
  /// In two pages, used in turn: a rank may be writing those of the next step while another reads.
  alignas(kCacheLine) std::array<Ballot, 2> ballots;
  std::array<std::int64_t, 2> samples;  ///< of this rank in the step, likewise
};

/// Addresses in this process; the context owns the memory. Whoever writes a page first has it in its own domain.
class NodeSegments {
 public:
  /// `numa_domain`: of this rank, any number. Collective; a barrier must follow before another rank's board is read.
  NodeSegments(const NodeLayout& layout, RankContext& ranks, int numa_domain, bool masters);

  std::span<RankBoard> boards() const { return boards_; }  ///< by rank

  /// The first element of a parameter's gradient, as `rank` published it. Requires more than one rank.
  std::byte* gradient(int rank, std::size_t parameter) const {
    return gradients_[static_cast<std::size_t>(rank)] + offset(parameter);
  }
  /// Likewise of the parameter: in one domain's copy.
  std::byte* weights(std::size_t domain, std::size_t parameter) const { return weights_[domain] + offset(parameter); }
  std::byte* master(std::size_t parameter) const;  ///< requires masters

  std::size_t domains() const { return weights_.size(); }
  std::size_t own_domain() const { return own_domain_; }
  bool is_first_of_domain() const { return first_of_domain_; }

 private:
  const NodeBucket& bucket_of(std::size_t parameter) const {
    return layout_.buckets[static_cast<std::size_t>(layout_.slots[parameter].bucket)];
  }
  std::ptrdiff_t offset(std::size_t parameter) const {
    const NodeBucket& bucket = bucket_of(parameter);
    return bucket.first_byte + layout_.slots[parameter].begin * bucket.element_bytes;
  }

  const NodeLayout& layout_;
  std::span<RankBoard> boards_;
  std::vector<std::byte*> gradients_, weights_;  // by rank; by domain
  std::byte* masters_ = nullptr;                 // by element
  std::size_t own_domain_ = 0;
  bool first_of_domain_ = false;
};

/// Of the core that this thread runs on.
int numa_domain_here();

}  // namespace regatta
