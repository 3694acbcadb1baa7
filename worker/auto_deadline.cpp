#include "worker/auto_deadline.hpp"

#include <algorithm>

namespace regatta {

namespace {

constexpr Duration kLeast = std::chrono::seconds(10);  // a machine that swaps or a network that retries, not a hang

}  // namespace

std::optional<Duration> AutoDeadline::after_step(Duration step) {
  if (steps_.size() == kSteps) return {};
  steps_.push_back(step);
  if (steps_.size() < kSteps) return {};
  const auto typical = one_host_ ? steps_.begin() + kSteps / 2 : steps_.end() - 2;
  std::nth_element(steps_.begin(), typical, steps_.end());
  return std::max(kLeast, 5 * *typical);
}

}  // namespace regatta
