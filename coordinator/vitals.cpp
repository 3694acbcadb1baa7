#include "coordinator/vitals.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace regatta {

namespace {

using namespace std::chrono_literals;

constexpr Duration kStartLimit =
    60s;  // loading torch and MNIST takes 2 s; a cold disk and a busy machine, ten times that
constexpr Duration kLeastSilence = 30s;  // heartbeats are at most 10 s apart
constexpr Duration kStopLimit = 15s;     // a clean stop ends the running step and writes the weights

Duration deadline_of(const std::optional<double>& deadline_s, const std::optional<Duration>& step) {
  if (deadline_s) return from_seconds(*deadline_s);
  return step ? std::max<Duration>(10s, 5 * *step) : Duration(60s);
}

}  // namespace

Duration silence_limit(const std::optional<double>& deadline_s, const std::optional<Duration>& step) {
  return std::max(kLeastSilence, 3 * deadline_of(deadline_s, step));
}

Decision decide(const Vitals& vitals, SteadyTime now) {
  if (vitals.interrupts >= 2) return {Act::kKill, "killed: asked to stop twice"};
  if (vitals.stop_requested) {
    if (now - *vitals.stop_requested <= kStopLimit) return {};
    return {Act::kKill, fmt::format("killed: it did not stop within {:.0f} s of being asked", seconds(kStopLimit))};
  }
  if (vitals.interrupts == 1) return {Act::kRequestStop, {}};

  if (!vitals.started) {
    const Duration limit =
        std::max(kStartLimit, vitals.deadline_s ? 3 * from_seconds(*vitals.deadline_s) : Duration(0));
    if (now - vitals.launched <= limit) return {};
    return {Act::kKill, fmt::format("killed: the ranks wrote no start line within {:.0f} s", seconds(limit))};
  }
  const Duration limit = silence_limit(vitals.deadline_s, vitals.step);
  if (now - vitals.last_sign <= limit) return {};
  return {Act::kKill, fmt::format("killed: no sign of life from the ranks for {:.0f} s", seconds(limit))};
}

}  // namespace regatta
