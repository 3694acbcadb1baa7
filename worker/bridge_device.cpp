// A sum, on the exchange stream of each GPU rank:
//
//   rank 0      sum over GPUs | to pinned memory | host: sum over carriers | from pinned memory | sum over GPUs
//   the others  sum over GPUs | zeros                                                            | sum over GPUs
//
// The second sum over GPUs is how the result is brought back: it adds zeros to it, which changes no bit, and the waist
// needs no second collective for it. One rank carries for all GPUs of all hosts, not one of each host: NCCL has summed
// across the hosts by then, over the fastest network there is, and every carrier more would make the slow sum, MPI's,
// larger. With a carrier a host their parts would also have to be told from the one sum that they all hold.
//
// MPI is called by the thread on which CUDA runs host functions, beside the trainer thread, which goes on calling it
// for everything else: so MPI_THREAD_MULTIPLE, and a communicator that nobody else uses. The alternatives: the trainer
// thread may stand in a wait for the very stream that waits for the sum, and a thread of ours that makes all MPI calls
// would stand between every collective of the worker and its caller. MPI without GPUs keeps MPI_THREAD_FUNNELED.
//
// The host function must come back for the device to end, so it asks MPI again and again and leaves when it is given
// up. Then the stream goes on with anything in its buffers; nobody looks at them, because `abort` came first. When MPI
// fails, whoever asks for an event is told.

#include "worker/bridge_device.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "worker/mpi_sum.hpp"

namespace regatta {
namespace {

/// Rank 0's leg over MPI. `carry` on the device's thread, the rest on the trainer's.
class Carrier {
 public:
  explicit Carrier(RankContext& carriers) : sum_(carriers) {
    if (!MpiSum::serves_threads())
      throw CommError(
          "CPU ranks beside GPUs: MPI was not started for several threads (MPI_THREAD_MULTIPLE), or cannot serve "
          "them\n  install an Open MPI that was built for threads, or leave out cpu_ranks");
  }

  /// Returns when `values` are summed, when it is given up, or when MPI fails.
  void carry(const at::Tensor& values) noexcept {
    try {
      if (gave_up_ || !trouble().empty()) return;
      sum_.begin(values);
      const auto begun = std::chrono::steady_clock::now();
      while (!gave_up_ && !sum_.is_done()) rest(std::chrono::steady_clock::now() - begun);
    } catch (const std::exception& error) {
      const std::lock_guard lock(mutex_);
      trouble_ = error.what();
    }
  }

  void give_up() { gave_up_ = true; }
  void expect_works() const {
    if (const std::string trouble = this->trouble(); !trouble.empty()) throw CommError(trouble);
  }

 private:
  /// As poll_until: the other ranks of a host may want the core, and nothing moves while nobody asks.
  static void rest(std::chrono::steady_clock::duration waited) {
    if (waited < std::chrono::milliseconds(20))
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  std::string trouble() const {
    const std::lock_guard lock(mutex_);
    return trouble_;
  }

  MpiSum sum_;
  std::atomic<bool> gave_up_ = false;
  mutable std::mutex mutex_;
  std::string trouble_;  // guarded by it
};

class BridgeDevice final : public Device {
 public:
  BridgeDevice(Device& gpu, const MixedRanks& ranks) : gpu_(gpu), several_(ranks.gpus->world_size() > 1) {
    if (ranks.carriers != nullptr) carrier_ = std::make_shared<Carrier>(*ranks.carriers);
  }
  ~BridgeDevice() override { give_up(); }
  BridgeDevice(const BridgeDevice&) = delete;
  BridgeDevice& operator=(const BridgeDevice&) = delete;

  const char* name() const override { return "nccl+mpi"; }  // the job's, the same on all ranks
  c10::Device where() const override { return gpu_.where(); }
  std::optional<DeviceMemory> take_memory() override { return gpu_.take_memory(); }

  at::Tensor memory(std::int64_t count, at::ScalarType type) override { return gpu_.memory(count, type); }
  at::Tensor host_memory(std::int64_t count, at::ScalarType type) override { return gpu_.host_memory(count, type); }
  void launch(Stream stream, std::function<void()> work) override { gpu_.launch(stream, std::move(work)); }
  void copy(Stream stream, const at::Tensor& to, const at::Tensor& from) override { gpu_.copy(stream, to, from); }
  void run_on_host(Stream stream, std::function<void()> work) override { gpu_.run_on_host(stream, std::move(work)); }

  void all_reduce_sum(const at::Tensor& values) override {
    if (several_) gpu_.all_reduce_sum(values);
    if (carrier_)
      carry(values);
    else
      gpu_.launch(Stream::kExchange, [values] {
        const c10::NoGradGuard no_grad;
        values.zero_();
      });
    if (several_) gpu_.all_reduce_sum(values);
  }

  Event make_event() override { return gpu_.make_event(); }
  Event make_timed_event() override { return gpu_.make_timed_event(); }
  double seconds_between(Event from, Event to) override { return gpu_.seconds_between(from, to); }
  void record(Event event, Stream stream) override { gpu_.record(event, stream); }
  void wait(Stream stream, Event event) override { gpu_.wait(stream, event); }
  bool is_complete(Event event) override {
    const bool complete = gpu_.is_complete(event);
    if (carrier_) carrier_->expect_works();  // asked last: behind a failed sum the stream went on
    return complete;
  }

  void abort() override {
    give_up();
    gpu_.abort();
  }

 private:
  void give_up() {
    if (carrier_) carrier_->give_up();
  }

  /// A conversion is the device's, between two places on it: CUDA would convert what comes from the host at once.
  void carry(const at::Tensor& values) {
    const bool narrow = values.scalar_type() == at::kBFloat16;
    const at::Tensor travelling = narrow ? part_of(wide_, values.numel(), at::kFloat, false) : values;
    const at::Tensor staged = part_of(narrow || values.scalar_type() == at::kFloat ? staged_floats_ : staged_doubles_,
                                      values.numel(), travelling.scalar_type(), /*on_host=*/true);
    if (narrow) gpu_.copy(Stream::kExchange, travelling, values);
    gpu_.copy(Stream::kExchange, staged, travelling);
    gpu_.run_on_host(Stream::kExchange, [carrier = carrier_, staged] { carrier->carry(staged); });
    gpu_.copy(Stream::kExchange, travelling, staged);
    if (narrow) gpu_.copy(Stream::kExchange, values, travelling);
  }

  /// Sums of one stream come one after the other, so they share a buffer. One that is too small is kept: the exchange
  /// stream may still use it, and the compute stream, which would get its memory next, waits for nothing here.
  at::Tensor part_of(at::Tensor& buffer, std::int64_t count, at::ScalarType type, bool on_host) {
    const c10::InferenceMode training(false);  // an evaluation may be the first to sum
    if (!buffer.defined() || buffer.numel() < count) {
      outgrown_.push_back(buffer);
      buffer = on_host ? gpu_.host_memory(count, type) : gpu_.memory(count, type);
    }
    return buffer.narrow(0, 0, count);
  }

  Device& gpu_;
  const bool several_;                // GPUs
  std::shared_ptr<Carrier> carrier_;  // rank 0's; shared with what is enqueued
  at::Tensor staged_floats_, staged_doubles_, wide_;
  std::vector<at::Tensor> outgrown_;
};

}  // namespace

std::unique_ptr<Device> make_bridge_device(Device& gpu, const MixedRanks& ranks) {
  REGATTA_ENSURE(ranks.gpus != nullptr, "a GPU rank");
  return std::make_unique<BridgeDevice>(gpu, ranks);
}

}  // namespace regatta
