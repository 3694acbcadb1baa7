#pragma once
// What a run has cost up to now, and whether it may go on: for stops by time and by cost.

#include "cluster/bill.hpp"
#include "jobs/plan.hpp"
#include "worker/exchanger.hpp"

namespace regatta {

/// Pure functions of the moment they are given. Only rank 0 asks, so that one clock decides for all.
class Spending {
 public:
  /// `wall` and `now` are the same moment on both clocks: the bill begins at the plan's launch, not at this process.
  Spending(const Plan& plan, SteadyTime process_start, Timestamp wall, SteadyTime now);

  /// Earlier attempts, start-up, steps, evaluations. Needs a price in the plan.
  NanoUsd accrued(SteadyTime now) const;
  /// max_time counts from the start of the process, max_cost_usd as the bill does.
  Budget budget(SteadyTime now) const;
  bool has_limits() const;

 private:
  const Plan& plan_;
  SteadyTime process_start_;
  Duration before_process_{0};  // from the launch
};

}  // namespace regatta
