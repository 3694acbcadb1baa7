#pragma once
// A device in host memory, for tests of what is written against worker/device.hpp on machines without a GPU. It does
// what its contract allows and its user hopes that it will not:
//
//   late       one thread works off the streams' queues. A stream that is late does nothing until somebody waits for
//              it: an event of another stream, or the host. Then it goes exactly as far as that wait needs. So a
//              forgotten wait shows every time, by order and not by luck of timing.
//   in flight  a copy or a sum begins early and ends late. In between its destination holds NaN, and what was written
//              over its source or its destination is a hazard. Work for the host is done as late as its stream: who
//              reads what it writes too early finds what was there before.
//   anything   fresh memory is NaN, or a number that nobody expects where its type has none.
//   failing    at a chosen sum: an error, or no end.
//   timed      each stream has a clock of its own, which work, copies and sums move by as much as the test said, a wait
//              to the time of what it waited for, and a sum to when the last rank came. The host's clock moves when the
//              test says so, and by waiting; what it enqueues begins no earlier. So times are the same in every run,
//              however long the threads took. The time of an event that is not complete is NaN.
//
// Sums go over the real ranks (host_sums.hpp).

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/mpi/host_sums.hpp"
#include "worker/device.hpp"

namespace regatta::test {

/// How long each operation takes, by the device's clock.
struct LateSeconds {
  double work = 0, copy = 0, sum = 0;
};

struct LateOptions {
  bool late_compute = false, late_exchange = false, late_copy = false;
  std::optional<std::int64_t> fails_at = {}, hangs_at = {};  ///< number of the sum, from 0, on this rank
  LateSeconds seconds = {};
};

/// As Device, from one thread. What it runs may hold tensors, and no reference to anything shorter-lived.
class LateDevice final : public Device {
 public:
  /// Collective: `sums` starts anew, so there is one device at a time.
  LateDevice(HostSums& sums, const LateOptions& options);
  ~LateDevice() override;  ///< what nobody waited for never happens

  const char* name() const override { return "late"; }
  c10::Device where() const override { return c10::kCPU; }
  at::Tensor memory(std::int64_t count, at::ScalarType type) override;
  at::Tensor host_memory(std::int64_t count, at::ScalarType type) override;
  void launch(Stream stream, std::function<void()> work) override;
  void copy(Stream stream, const at::Tensor& to, const at::Tensor& from) override;
  void all_reduce_sum(const at::Tensor& values) override;
  void run_on_host(Stream stream, std::function<void()> work) override;
  Event make_event() override;
  Event make_timed_event() override;
  double seconds_between(Event from, Event to) override;
  void record(Event event, Stream stream) override;
  void wait(Stream stream, Event event) override;
  bool is_complete(Event event) override;
  void abort() override;

  /// A forward pass on the device would follow the optimizer on the compute stream; one on the host calls this first.
  void finish_compute();
  /// What the host does elsewhere, and what a model would put on the stream.
  void pass(double seconds);
  void take_time(Stream stream, double seconds);
  std::vector<std::string> hazards() const;
  bool aborted() const;

 private:
  struct Operation;
  struct Queue;
  struct Moment;  // what an event stands for: a place in a queue

  void enqueue(Stream stream, Operation operation);
  Queue& queue(Stream stream);
  void expect_works() const;
  bool is_done(const Moment& moment) const;
  void demand(const Moment& moment);
  void run();
  bool advance(std::unique_lock<std::mutex>& lock);
  bool begin_head(Queue& queue, std::unique_lock<std::mutex>& lock);
  bool end_head(Queue& queue, std::unique_lock<std::mutex>& lock);
  void pop(Queue& queue);
  bool run_unlocked(const std::function<bool()>& part, std::unique_lock<std::mutex>& lock);
  double latest_of(const Moment& moment) const;
  void check_untouched(const char* what, const at::Tensor& found, const at::Tensor& expected);

  HostSums& sums_;
  LateOptions options_;
  mutable std::mutex mutex_;  // guards all below; operations run without it
  std::condition_variable wake_, advanced_;
  std::vector<Queue> queues_;  // by Stream
  std::vector<Moment> events_;
  std::vector<bool> timed_;  // by event
  double host_time_ = 0;
  std::vector<std::string> hazards_;
  std::string error_;
  std::int64_t sums_asked_ = 0;
  bool aborted_ = false, ending_ = false;
  std::thread thread_;
};

}  // namespace regatta::test
