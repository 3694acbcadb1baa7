#pragma once
// How sums over nodes are made, by size: measured by the worker at the start, or taken from the plan. Torch-free.

#include <cstdint>

#include "common/ids.hpp"
#include "common/json.hpp"

namespace regatta {

/// Up to `swap_bytes` a rank sends its whole slice of a bucket to each of its peers (one message's time); above, each
/// adds up a part and sends the result round (fewer bytes where there are more than two nodes).
struct LaneChoice {
  std::int64_t swap_bytes = 0;
  RunId measured_by = {};  ///< whose ranks have measured it; empty: nobody's
  bool operator==(const LaneChoice&) const = default;
};

/// Fewer send the same bytes in either way.
inline constexpr int kNodesWithAChoice = 3;

/// {"swap_bytes": 65536, "measured_by": "01K5..."}; the second is null or not there where nobody has measured.
Json to_json(const LaneChoice&);
/// Throws IoError naming the key.
LaneChoice lane_choice_from_json(const Json&);

}  // namespace regatta
