#pragma once
// Who meets whom between nodes, and over which elements: a pure function of the layout and of how many ranks each node
// has, the same on every rank. Torch-free.

#include <span>
#include <vector>

#include "worker/node_layout.hpp"

namespace regatta {

/// World ranks by node and local rank; nodes in the order of their first ranks. Ranks of a node need not follow each
/// other.
using RanksByNode = std::vector<std::vector<int>>;

/// Elements of a bucket that on each node lie in one rank's slice: what those ranks exchange with each other. Where all
/// nodes have as many ranks, a lane is a local rank's slice. Else the slices of all nodes cut each other: with 2, 1 and
/// 1 ranks the lanes are two halves, and the lonely ranks take part in both.
struct Lane {
  int number = 0;          ///< in the bucket, over all ranks
  Slice elements;          ///< of the bucket; not empty
  std::vector<int> peers;  ///< world ranks by node, this rank among them
};

/// Those in the slice of `local_rank` of `node`, in order; they tile it.
std::vector<Lane> lanes_of(const NodeBucket& bucket, const RanksByNode& ranks, std::size_t node, int local_rank);

/// What a node's rank adds up for the others where a lane is shared out: parts tile it, multiples of the grain.
Slice part_of(const Slice& lane, std::size_t node, std::size_t nodes);

}  // namespace regatta
