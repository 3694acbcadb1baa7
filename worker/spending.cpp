#include "worker/spending.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "common/error.hpp"

namespace regatta {

namespace {

/// A batch script says since when its nodes are held: what was spent in the queue is not billed.
Timestamp held_since() {
  const char* text = std::getenv("REGATTA_HELD_SINCE");  // seconds since 1970
  return Timestamp(std::chrono::seconds(text == nullptr ? 0 : std::atoll(text)));
}

}  // namespace

Spending::Spending(const Plan& plan, SteadyTime process_start, Timestamp wall, SteadyTime now)
    : plan_(plan), process_start_(process_start) {
  if (!plan.launched_at) return;
  const Duration since_launch = wall - std::max(*plan.launched_at, held_since());
  before_process_ = std::max(since_launch - (now - process_start), Duration(0));  // clocks of two hosts may disagree
}

NanoUsd Spending::accrued(SteadyTime now) const {
  REGATTA_ENSURE(plan_.price, "a cost without a price");
  NanoUsd cost = plan_.spent;
  cost += holding_cost(*plan_.price, holding_of(plan_.placement), before_process_ + (now - process_start_));
  return cost;
}

Budget Spending::budget(SteadyTime now) const {
  const StopSpec& stop = plan_.training.stop;
  if (stop.max_cost && accrued(now) >= *stop.max_cost) return Budget::kMoneySpent;
  if (stop.max_time_s && seconds(now - process_start_) >= *stop.max_time_s) return Budget::kTimeSpent;
  return Budget::kLeft;
}

bool Spending::has_limits() const {
  return plan_.training.stop.max_cost || plan_.training.stop.max_time_s;
}

}  // namespace regatta
