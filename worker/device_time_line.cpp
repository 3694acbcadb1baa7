#include "worker/device_time_line.hpp"

#include <algorithm>
#include <utility>

namespace regatta {

void DeviceTimeLine::begin_step(std::int64_t step) {
  if (!steps_.empty() && steps_.back().number == step) return;
  const bool runs = running();
  steps_.push_back({.number = step});
  if (runs) return mark(Phase::kOther);
  border_ = record(Stream::kCompute);
  has_border_ = true;
}

void DeviceTimeLine::mark(Phase phase, For wait_for) {
  if (steps_.empty()) return;
  steps_.back().marks.push_back({record(Stream::kCompute), phase, wait_for});
}

void DeviceTimeLine::begin_sum() {
  if (!steps_.empty()) steps_.back().sums.push_back({.begin = record(Stream::kExchange)});
}

void DeviceTimeLine::end_sum() {
  if (!steps_.empty()) steps_.back().sums.back().end = record(Stream::kExchange);
}

void DeviceTimeLine::read_up_to(std::int64_t step) {
  for (; !steps_.empty() && steps_.front().number <= step; steps_.pop_front()) read_.push_back(read(steps_.front()));
}

void DeviceTimeLine::end_stretch() {
  if (!running()) return;
  if (!steps_.empty()) read_up_to(steps_.back().number);
  free_.push_back(border_);
  has_border_ = false;
}

std::vector<DeviceStep> DeviceTimeLine::take() {
  return std::exchange(read_, {});
}

std::vector<double> DeviceTimeLine::take_waits() {
  return std::exchange(waits_, {});
}

Event DeviceTimeLine::record(Stream stream) {
  if (free_.empty()) free_.push_back(device_.make_timed_event());
  const Event event = free_.back();
  free_.pop_back();
  device_.record(event, stream);
  return event;
}

DeviceStep DeviceTimeLine::read(const Step& step) {
  DeviceStep found{.number = step.number};
  for (const Mark& mark : step.marks) {
    const double took_s = device_.seconds_between(border_, mark.event);
    free_.push_back(std::exchange(border_, mark.event));
    found.seconds[mark.phase] += took_s;
    if (mark.wait_for != For::kNothing) waits_.push_back(took_s);
    if (mark.wait_for == For::kSum) found.exchange_hidden_s -= took_s;  // what was exposed lies within the sums
  }
  for (const Sum& sum : step.sums) {
    found.exchange_hidden_s += device_.seconds_between(sum.begin, sum.end);
    free_.insert(free_.end(), {sum.begin, sum.end});
  }
  found.exchange_hidden_s = std::max(0.0, found.exchange_hidden_s);
  return found;
}

}  // namespace regatta
