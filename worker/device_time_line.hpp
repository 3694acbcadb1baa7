#pragma once
// Where a device's time goes (METRICS section 4): borders of phases on its compute stream, and of sums on its exchange
// stream, marked as the host lays work there and read when they have long passed, so that nobody waits for them.

#include <cstdint>
#include <deque>
#include <vector>

#include "common/records.hpp"
#include "worker/device.hpp"

namespace regatta {

/// One step as the device saw it.
struct DeviceStep {
  std::int64_t number = 0;
  PhaseSeconds seconds;          ///< of the compute stream: from the end of the step before to the end of this one
  double exchange_hidden_s = 0;  ///< of its sums, what computing hid
};

/// As Device, which outlives it. A stretch is a row of steps between two times at which everything is settled; outside
/// of one, marks are left out. Events are used again once they are read: as many as the marks of the steps in flight.
class DeviceTimeLine {
 public:
  explicit DeviceTimeLine(Device& device) : device_(device) {}

  /// Begins a stretch where none runs; else what lies on the compute stream since the last mark was for nothing that
  /// has a name (`other`). Again for the same step: nothing.
  void begin_step(std::int64_t step);
  bool running() const { return !steps_.empty() || has_border_; }
  /// What lies on the compute stream since the last mark belongs to `phase`.
  void mark(Phase phase) { mark(phase, For::kNothing); }
  /// Likewise to `exchange`, and it is the exposed wait for a sum of gradients, or for another collective.
  void mark_wait_for_sum() { mark(Phase::kExchange, For::kSum); }
  void mark_wait_for_numbers() { mark(Phase::kExchange, For::kNumbers); }
  /// Around a sum of gradients on the exchange stream.
  void begin_sum();
  void end_sum();

  /// Requires that all marks of steps up to this one are complete.
  void read_up_to(std::int64_t step);
  /// Requires that everything is; the stretch is over.
  void end_stretch();
  /// What was read since the last call, in order.
  std::vector<DeviceStep> take();
  /// Likewise the exposed waits, one a collective: as many on every rank.
  std::vector<double> take_waits();

 private:
  enum class For { kNothing, kSum, kNumbers };
  struct Mark {
    Event event;
    Phase phase = Phase::kOther;
    For wait_for = For::kNothing;
  };
  struct Sum {
    Event begin, end;
  };
  struct Step {
    std::int64_t number = 0;
    std::vector<Mark> marks;
    std::vector<Sum> sums;
  };

  void mark(Phase phase, For wait_for);
  Event record(Stream stream);
  DeviceStep read(const Step& step);

  Device& device_;
  std::vector<Event> free_;
  std::deque<Step> steps_;  // marked and not read
  bool has_border_ = false;
  Event border_;  // the last one that was read, or where the stretch began
  std::vector<DeviceStep> read_;
  std::vector<double> waits_;
};

}  // namespace regatta
