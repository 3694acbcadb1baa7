#pragma once
// train.deadline: auto, once steps were measured.

#include <optional>
#include <vector>

#include "common/time.hpp"

namespace regatta {

/// max(10 s, 5 x median of the first 20 steps), once: later steps of the same work take as long.
class AutoDeadline {
 public:
  static constexpr std::size_t kSteps = 20;

  /// The deadline after the 20th step, nothing after any other.
  std::optional<Duration> after_step(Duration step);

 private:
  std::vector<Duration> steps_;
};

}  // namespace regatta
