#include "coordinator/run_bill.hpp"

namespace regatta {

namespace {

AttemptTime time_of(const AttemptState& attempt) {
  // Only these leave weights behind; after anything else there is no checkpoint to go on from, so the work is lost.
  const bool finished = attempt.exit_code == static_cast<int>(ExitCode::kDone) ||
                        attempt.exit_code == static_cast<int>(ExitCode::kStoppedOnRequest);
  return {.held = counted_time(attempt.held_s.value_or(0)),
          .startup = counted_time(attempt.startup_s.value_or(0)),
          .hold = counted_time(attempt.hold_s.value_or(0)),
          .epochs = attempt.epochs,
          .finished = finished};
}

}  // namespace

Bill run_bill(const RunState& run, const Price& price) {
  std::vector<AttemptTime> attempts;
  for (const auto& attempt : run.attempts)
    if (attempt.held_s) attempts.push_back(time_of(attempt));
  return make_bill(price, holding_of(run), attempts);
}

}  // namespace regatta
