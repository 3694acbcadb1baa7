// The compute stream is the calling thread, the exchange stream a queue that is worked off on the same thread, up to
// the first sum that other ranks have not come to. A wait of the exchange for an event is none: compute is always done,
// and the exchange goes one after the other.

#include "worker/host_device.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <deque>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/time.hpp"
#include "worker/mpi_sum.hpp"
#include "worker/polled_wait.hpp"

namespace regatta {
namespace {

class HostDevice final : public Device {
 public:
  HostDevice(RankContext& carriers, Watchdog& watchdog) : sum_(carriers), watchdog_(watchdog) {}

  const char* name() const override { return "nccl+mpi"; }  // the job's, the same on all ranks
  c10::Device where() const override { return c10::kCPU; }

  at::Tensor memory(std::int64_t count, at::ScalarType type) override {
    return at::empty({count}, at::TensorOptions(type));
  }
  at::Tensor host_memory(std::int64_t count, at::ScalarType type) override { return memory(count, type); }

  void launch(Stream stream, std::function<void()> work) override {
    if (stream == Stream::kExchange)
      enqueue({.work = std::move(work)});
    else
      work();
  }
  void copy(Stream stream, const at::Tensor& to, const at::Tensor& from) override {
    launch(stream, [to, from] {
      const c10::NoGradGuard no_grad;
      to.copy_(from);
    });
  }
  void all_reduce_sum(const at::Tensor& values) override { enqueue({.values = values}); }
  void run_on_host(Stream stream, std::function<void()> work) override { launch(stream, std::move(work)); }

  Event make_event() override {
    events_.push_back(0);
    times_.emplace_back();
    return {static_cast<int>(events_.size()) - 1};
  }
  Event make_timed_event() override {
    const Event event = make_event();
    times_.back() = std::make_shared<SteadyTime>();
    return event;
  }
  double seconds_between(Event from, Event to) override {
    return seconds(*times_.at(static_cast<std::size_t>(to.number)) - *times_.at(static_cast<std::size_t>(from.number)));
  }
  void record(Event event, Stream stream) override {
    if (const auto& time = times_.at(static_cast<std::size_t>(event.number)))
      launch(stream, [time] { *time = std::chrono::steady_clock::now(); });
    events_.at(static_cast<std::size_t>(event.number)) = stream == Stream::kExchange ? enqueued_ : 0;
  }
  void wait(Stream stream, Event event) override {
    if (stream == Stream::kExchange || is_complete(event)) return;
    const WatchedWait wait(watchdog_, "sum over all ranks", WaitKind::kPolling);
    poll_until(watchdog_, [&] { return is_complete(event); });
  }
  bool is_complete(Event event) override {
    expect_works();
    move_on();
    return done_ >= events_.at(static_cast<std::size_t>(event.number));
  }
  bool computes_here() const override { return true; }

  void abort() override {
    aborted_ = true;
    queue_.clear();
  }

 private:
  /// Work, or a sum of `values`.
  struct Queued {
    std::function<void()> work = {};
    at::Tensor values = {};
    at::Tensor travelling = {};  // the values, or a wider copy; defined once the sum has begun
  };

  void enqueue(Queued queued) {
    expect_works();
    queue_.push_back(std::move(queued));
    ++enqueued_;
    move_on();
  }

  void move_on() {
    const c10::InferenceMode training(false);  // an evaluation may come across a sum of a step's
    const c10::NoGradGuard no_grad;
    for (; !queue_.empty(); queue_.pop_front(), ++done_) {
      Queued& head = queue_.front();
      if (head.work)
        head.work();
      else if (!summed(head))
        return;
    }
  }

  bool summed(Queued& head) {
    const bool narrow = head.values.scalar_type() == at::kBFloat16;
    if (!head.travelling.defined()) {
      head.travelling = narrow ? head.values.to(at::kFloat) : head.values;
      sum_.begin(head.travelling);
    }
    if (!sum_.is_done()) return false;
    if (narrow) head.values.copy_(head.travelling);
    return true;
  }

  void expect_works() const {
    if (aborted_) throw CommError("sums over MPI: given up");
  }

  MpiSum sum_;
  Watchdog& watchdog_;
  std::deque<Queued> queue_;                        // of the exchange stream
  std::int64_t enqueued_ = 0, done_ = 0;            // of it, since the beginning
  std::vector<std::int64_t> events_;                // by Event's number: how many must be done
  std::vector<std::shared_ptr<SteadyTime>> times_;  // likewise; null where it has none
  bool aborted_ = false;
};

}  // namespace

std::unique_ptr<Device> make_host_device(RankContext& carriers, Watchdog& watchdog) {
  return std::make_unique<HostDevice>(carriers, watchdog);
}

}  // namespace regatta
