// One turn of the thread, in this order: what can begin begins, behind waits that are over, too (so that destinations
// turn NaN as soon as they may), then a stream that is not late goes on, then one that is late and in demand. The order
// makes a forgotten wait certain to show: whoever does not wait runs before whatever it should have waited for.

#include "tests/mpi/late_device.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

#include "common/error.hpp"

namespace regatta::test {

namespace {

/// Of a type without NaN: a number that is no index, class or step of any test; for bytes its lowest one.
constexpr std::int64_t kIntegerPoison = 0x5a5a5aa5;

at::Scalar poison(at::ScalarType type) {
  if (!at::isIntegralType(type, /*includeBool=*/true)) return std::numeric_limits<double>::quiet_NaN();
  return type == at::kByte ? kIntegerPoison & 0xff : kIntegerPoison;
}
constexpr auto kOtherRanks = std::chrono::microseconds(100);  // between two looks whether they have come

}  // namespace

struct LateDevice::Moment {
  Stream stream = Stream::kCompute;
  std::int64_t place = 0;
  std::shared_ptr<double> time = {};  // NaN until it is over
};

/// Work has only `end`; a transfer or a sum holds its destination from `begin` to `end`. `end` is false when other
/// ranks have not come. Without either: a wait, or the place of an event.
struct LateDevice::Operation {
  std::function<bool()> begin = {}, end = {};
  std::optional<Moment> after = {};
  double takes = 0, not_before = 0;     // seconds; the host's clock when it was enqueued
  std::shared_ptr<double> others = {};  // of a sum: when the last rank had begun
  std::shared_ptr<double> time = {};    // of an event's place, for it
  std::int64_t place = 0;               // in its queue, from 1
  bool begun = false;
};

struct LateDevice::Queue {
  bool late = false;
  std::deque<Operation> operations;
  std::int64_t enqueued = 0, done = 0, demanded = 0;  // places
  double time = 0;                                    // at `done`

  bool may_end(const Operation& operation) const { return !late || operation.place <= demanded; }
};

LateDevice::LateDevice(HostSums& sums, const LateOptions& options) : sums_(sums), options_(options), queues_(3) {
  sums_.restart();
  queue(Stream::kCompute).late = options.late_compute;
  queue(Stream::kExchange).late = options.late_exchange;
  queue(Stream::kCopy).late = options.late_copy;
  thread_ = std::thread([this] { run(); });
}

LateDevice::~LateDevice() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

at::Tensor LateDevice::memory(std::int64_t count, at::ScalarType type) {
  return at::full({count}, poison(type), at::TensorOptions(type));
}

at::Tensor LateDevice::host_memory(std::int64_t count, at::ScalarType type) {
  return memory(count, type);
}

void LateDevice::launch(Stream stream, std::function<void()> work) {
  enqueue(stream, {.end =
                       [work = std::move(work)] {
                         work();
                         return true;
                       },
                   .takes = options_.seconds.work});
}

void LateDevice::copy(Stream stream, const at::Tensor& to, const at::Tensor& from) {
  struct InFlight {
    at::Tensor to, from, taken, poison;
  };
  auto flight = std::make_shared<InFlight>(InFlight{to, from, {}, {}});
  enqueue(stream, {.begin =
                       [flight] {
                         flight->taken = flight->from.clone();
                         flight->to.fill_(poison(flight->to.scalar_type()));
                         flight->poison = flight->to.clone();
                         return true;
                       },
                   .end =
                       [this, flight] {
                         check_untouched("the source of a copy", flight->from, flight->taken);
                         check_untouched("the destination of a copy", flight->to, flight->poison);
                         flight->to.copy_(flight->taken);
                         return true;
                       },
                   .takes = options_.seconds.copy});
}

void LateDevice::all_reduce_sum(const at::Tensor& values) {
  struct InFlight {
    at::Tensor values, poison;
    std::int64_t number;
    double not_before;
    std::shared_ptr<double> others;
  };
  auto flight =
      std::make_shared<InFlight>(InFlight{values, {}, sums_asked_++, host_time_, std::make_shared<double>(0)});
  enqueue(Stream::kExchange, {.begin =
                                  [this, flight] {
                                    const double own = queue(Stream::kExchange).time;  // no other thread moves it
                                    sums_.begin(flight->number, flight->values, std::max(own, flight->not_before));
                                    flight->values.fill_(poison(flight->values.scalar_type()));
                                    flight->poison = flight->values.clone();
                                    return true;
                                  },
                              .end =
                                  [this, flight] {
                                    if (flight->number == options_.hangs_at) return false;
                                    const at::Tensor sum = at::empty_like(flight->values);
                                    const auto others = sums_.finish(flight->number, sum);
                                    if (!others) return false;
                                    *flight->others = *others;
                                    check_untouched("a sum", flight->values, flight->poison);
                                    flight->values.copy_(sum);
                                    if (flight->number != options_.fails_at) return true;
                                    const std::lock_guard lock(mutex_);
                                    error_ = fmt::format("injected at sum {}", flight->number);
                                    return true;
                                  },
                              .takes = options_.seconds.sum,
                              .others = flight->others});
}

void LateDevice::run_on_host(Stream stream, std::function<void()> work) {
  launch(stream, std::move(work));  // its thread is the host's
}

Event LateDevice::make_event() {
  const std::lock_guard lock(mutex_);
  events_.emplace_back();
  timed_.push_back(false);
  return {static_cast<int>(events_.size()) - 1};
}

Event LateDevice::make_timed_event() {
  const Event event = make_event();
  const std::lock_guard lock(mutex_);
  timed_.back() = true;
  return event;
}

double LateDevice::seconds_between(Event from, Event to) {
  const std::lock_guard lock(mutex_);
  const auto time_of = [&](Event event) {
    const auto number = static_cast<std::size_t>(event.number);
    REGATTA_ENSURE(timed_.at(number) && events_[number].time, "a timed event that was recorded");
    return *events_[number].time;
  };
  return time_of(to) - time_of(from);
}

void LateDevice::record(Event event, Stream stream) {
  const auto time = std::make_shared<double>(std::numeric_limits<double>::quiet_NaN());
  enqueue(stream, {.time = time});
  const std::lock_guard lock(mutex_);
  events_.at(static_cast<std::size_t>(event.number)) = {stream, queue(stream).enqueued, time};
}

void LateDevice::wait(Stream stream, Event event) {
  Moment moment;
  {
    const std::lock_guard lock(mutex_);
    moment = events_.at(static_cast<std::size_t>(event.number));
  }
  enqueue(stream, {.after = moment});
}

bool LateDevice::is_complete(Event event) {
  const std::lock_guard lock(mutex_);
  expect_works();
  const Moment& moment = events_.at(static_cast<std::size_t>(event.number));
  demand(moment);
  if (!is_done(moment)) return false;
  host_time_ = std::max(host_time_, latest_of(moment));
  return true;
}

void LateDevice::abort() {
  const std::lock_guard lock(mutex_);
  aborted_ = true;
}

void LateDevice::finish_compute() {
  std::unique_lock lock(mutex_);
  const Moment now{Stream::kCompute, queue(Stream::kCompute).enqueued};
  demand(now);
  advanced_.wait(lock, [&] { return is_done(now) || aborted_ || !error_.empty(); });
  host_time_ = std::max(host_time_, queue(Stream::kCompute).time);
}

void LateDevice::pass(double seconds) {
  const std::lock_guard lock(mutex_);
  host_time_ += seconds;
}

void LateDevice::take_time(Stream stream, double seconds) {
  enqueue(stream, {.end = [] { return true; }, .takes = seconds});
}

std::vector<std::string> LateDevice::hazards() const {
  const std::lock_guard lock(mutex_);
  return hazards_;
}

bool LateDevice::aborted() const {
  const std::lock_guard lock(mutex_);
  return aborted_;
}

void LateDevice::enqueue(Stream stream, Operation operation) {
  {
    const std::lock_guard lock(mutex_);
    expect_works();
    Queue& to = queue(stream);
    operation.place = ++to.enqueued;
    operation.not_before = host_time_;
    to.operations.push_back(std::move(operation));
  }
  wake_.notify_one();
}

void LateDevice::expect_works() const {
  if (aborted_) throw CommError("late device: aborted");
  if (!error_.empty()) throw CommError("late device: " + error_);
}

LateDevice::Queue& LateDevice::queue(Stream stream) {
  return queues_[static_cast<std::size_t>(stream)];
}

bool LateDevice::is_done(const Moment& moment) const {
  return queues_[static_cast<std::size_t>(moment.stream)].done >= moment.place;
}

void LateDevice::demand(const Moment& moment) {
  Queue& from = queue(moment.stream);
  if (moment.place <= from.demanded) return;
  from.demanded = moment.place;
  wake_.notify_one();
}

void LateDevice::run() {
  const c10::NoGradGuard no_grad;
  std::unique_lock lock(mutex_);
  while (!ending_)
    if (aborted_ || !error_.empty() || !advance(lock)) wake_.wait_for(lock, kOtherRanks);
}

bool LateDevice::advance(std::unique_lock<std::mutex>& lock) {
  for (Queue& queue : queues_)
    if (begin_head(queue, lock)) return true;
  for (const bool late : {false, true})
    for (Queue& queue : queues_)
      if (queue.late == late && end_head(queue, lock)) return true;
  return false;
}

bool LateDevice::begin_head(Queue& queue, std::unique_lock<std::mutex>& lock) {
  if (queue.operations.empty()) return false;
  Operation& head = queue.operations.front();  // stays where it is while others are enqueued
  if (head.after && is_done(*head.after)) {
    pop(queue);
    return true;
  }
  if (head.begun || !head.begin) return false;
  head.begun = run_unlocked(head.begin, lock);
  return head.begun;
}

bool LateDevice::end_head(Queue& queue, std::unique_lock<std::mutex>& lock) {
  if (queue.operations.empty()) return false;
  Operation& head = queue.operations.front();
  if (head.after && queue.may_end(head)) demand(*head.after);
  if (head.after || !queue.may_end(head)) return false;
  if (head.end && !run_unlocked(head.end, lock)) return false;
  pop(queue);
  return true;
}

void LateDevice::pop(Queue& queue) {
  const Operation& done = queue.operations.front();
  if (done.takes > 0) queue.time = std::max(queue.time, done.not_before);
  if (done.after) queue.time = std::max(queue.time, latest_of(*done.after));
  if (done.others) queue.time = std::max(queue.time, *done.others);
  queue.time += done.takes;
  if (done.time) *done.time = queue.time = std::max(queue.time, done.not_before);
  queue.done = done.place;
  queue.operations.pop_front();
  advanced_.notify_all();
}

/// 0 before the event's first record.
double LateDevice::latest_of(const Moment& moment) const {
  return moment.time ? *moment.time : 0;
}

bool LateDevice::run_unlocked(const std::function<bool()>& part, std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  bool came_to_its_end = false;
  std::string error;
  try {
    came_to_its_end = part();
  } catch (const std::exception& thrown) {
    error = thrown.what();
  }
  lock.lock();
  if (!error.empty()) error_ = error;
  return came_to_its_end;
}

void LateDevice::check_untouched(const char* what, const at::Tensor& found, const at::Tensor& expected) {
  if (at::allclose(found, expected, 0, 0, /*equal_nan=*/true)) return;
  const std::lock_guard lock(mutex_);
  hazards_.push_back(fmt::format("{} was written over while in flight", what));
}

}  // namespace regatta::test
