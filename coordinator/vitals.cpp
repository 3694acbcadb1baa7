#include "coordinator/vitals.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/dataset_index.hpp"

namespace regatta {

namespace {

using namespace std::chrono_literals;

constexpr Duration kStartLimit = 60s;    // loading torch takes 2 s; from a cold disk on a busy machine, ten times that
constexpr Duration kLeastSilence = 30s;  // heartbeats are at most 10 s apart
constexpr Duration kStopLimit = 15s;     // a clean stop ends the running step and writes the weights
constexpr Duration kEndLimit = 6s;       // mpirun takes 2 to 3 s; it waits for ever for a host that stands still
constexpr Duration kAskAgain = 1s;       // mpirun drops a signal that comes while it starts its ranks

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
  if (vitals.faulted && now - *vitals.faulted > kEndLimit)
    return {Act::kKillAfterFault, fmt::format("mpirun did not end by itself within {:.0f} s", seconds(kEndLimit))};
  if (vitals.stop_requested) {
    const Duration limit = std::max(kStopLimit, vitals.step ? 3 * *vitals.step : Duration(0));
    if (now - *vitals.stop_requested > limit)
      return {Act::kKill, fmt::format("killed: it did not stop within {:.0f} s of being asked", seconds(limit))};
    return {now - vitals.asked_again >= kAskAgain ? Act::kRequestStop : Act::kGoOn, {}};
  }
  if (vitals.interrupts == 1 && !vitals.started) return {Act::kKill, "killed: asked to stop before its first step"};
  if (vitals.interrupts == 1) return {Act::kRequestStop, {}};

  if (vitals.queued) {
    if (!vitals.queue_timeout_s || now - vitals.launched <= from_seconds(*vitals.queue_timeout_s)) return {};
    return {Act::kKill,
            fmt::format("killed: it did not leave the queue within {:g} s (queue_timeout)", *vitals.queue_timeout_s)};
  }
  if (!vitals.started) {
    const Duration limit =
        std::max(kStartLimit, vitals.deadline_s ? 3 * from_seconds(*vitals.deadline_s) : Duration(0)) +
        reading_allowance(vitals.data_bytes) + vitals.before_start;
    if (now - vitals.launched <= limit) return {};
    return {Act::kKill, fmt::format("killed: the ranks wrote no start line within {:.0f} s", seconds(limit))};
  }
  const Duration limit = silence_limit(vitals.deadline_s, vitals.step);
  if (now - vitals.last_sign <= limit) return {};
  return {Act::kKill, fmt::format("killed: no sign of life from the ranks for {:.0f} s", seconds(limit))};
}

}  // namespace regatta
