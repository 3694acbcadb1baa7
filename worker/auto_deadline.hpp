#pragma once
// train.deadline: auto, once steps were measured.

#include <optional>
#include <vector>

#include "common/time.hpp"

namespace regatta {

/// max(10 s, 5 x median of the first 20 steps), once: later steps of the same work take as long. Between hosts the
/// longest but one: with `every: k` one in k sends anything, and one may be an accident.
class AutoDeadline {
 public:
  static constexpr std::size_t kSteps = 20;
  explicit AutoDeadline(bool one_host) : one_host_(one_host) {}

  /// The deadline after the 20th step, nothing after any other.
  std::optional<Duration> after_step(Duration step);

 private:
  bool one_host_;
  std::vector<Duration> steps_;
};

}  // namespace regatta
