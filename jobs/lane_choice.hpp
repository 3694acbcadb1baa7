#pragma once
// How sums over nodes are made, by size: measured by the worker at the start, or taken from the plan. Torch-free.

#include <cstdint>
#include <string>

#include "common/json.hpp"

namespace regatta {

/// Up to `swap_bytes` a rank sends its whole slice of a bucket to each of its peers (one message's time); above, each
/// adds up a part and sends the result round (fewer bytes where there are more than two nodes).
struct LaneChoice {
  std::int64_t swap_bytes = 0;
  bool operator==(const LaneChoice&) const = default;
};

/// {"swap_bytes": 65536}
Json to_json(const LaneChoice&);
/// Throws IoError naming the key.
LaneChoice lane_choice_from_json(const Json&);

}  // namespace regatta
