#pragma once
// Which ranks share a host.

#include <cstddef>

#include "worker/lane_layout.hpp"

namespace regatta {

class RankContext;

/// Which rank stands where, from what each of them knows of its host. Collective.
struct NodeMap {
  RanksByNode ranks;
  std::size_t node = 0;  ///< this rank's
};
NodeMap node_map(RankContext& ranks);

}  // namespace regatta
