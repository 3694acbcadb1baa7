#pragma once
// The narrow waist between a rank and what it trains on: three streams, events between them, copies, memory, and one
// collective. CUDA with NCCL implements it (cuda/), and so does a double in host memory, whose streams are as late as
// their waits allow (tests/mpi/late_device.hpp): what somebody forgets to wait for shows on a machine without a GPU.
// Where CPU ranks train beside GPUs they have a host_device.hpp, and the GPUs a bridge_device.hpp around theirs.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>

namespace regatta {

/// What is enqueued on a stream happens in order, some time after the call; between them only events order anything.
enum class Stream {
  kCompute,   ///< where the model runs: backward makes gradients on it, forward follows the optimizer on it
  kExchange,  ///< of its own, so that sums travel while backward computes
  kCopy,      ///< of its own, so that batches arrive meanwhile
};

/// A point in a stream, made anew by each `record`; what waits for it waits for the latest one at the time of the call.
/// Belongs to the device that made it.
struct Event {
  int number = 0;
};

/// The memory that its tensors live in, as one process sees it.
struct DeviceMemory {
  std::int64_t peak_bytes = 0;   ///< in tensors at once, at most, since it was last asked
  std::int64_t free_bytes = 0;   ///< that nobody holds; what this process holds and no tensor uses comes beside it
  std::int64_t total_bytes = 0;  ///< that there is
};

/// Owned by the caller and outlives what works with it. Trainer thread (and, inside backward, autograd's, while the
/// trainer thread waits for it). Every method may throw CommError when the device or its communicator has failed; from
/// then on only `abort` is of use. No method waits for a stream.
class Device {
 public:
  virtual ~Device() = default;
  virtual const char* name() const = 0;
  /// What tensors that live here are told to be on.
  virtual c10::Device where() const = 0;

  /// (count) in the device's memory, with anything in it. Nobody on any stream uses it any more. Who lets go of it lets
  /// the compute stream wait first for what other streams do with it: it is used again behind what that has by then.
  virtual at::Tensor memory(std::int64_t count, at::ScalarType type) = 0;
  /// (count) on the host, where copies reach it without the host's help (pinned), with anything in it. It may be let go
  /// of while a copy is in flight.
  virtual at::Tensor host_memory(std::int64_t count, at::ScalarType type) = 0;

  /// Nothing where it has no memory but the host's. Does not wait; the peak begins anew.
  virtual std::optional<DeviceMemory> take_memory() { return {}; }

  /// Tensor operations, launched on the stream: now, or later and on another thread. `work` owns what it uses, and
  /// reads no number of it on the host.
  virtual void launch(Stream stream, std::function<void()> work) = 0;
  /// Of as many elements, also from host memory or into it, and from one type to another. Until an event behind it is
  /// complete, `from` must not change and `to` holds anything.
  virtual void copy(Stream stream, const at::Tensor& to, const at::Tensor& from) = 0;
  /// Sums `values` (float64, float32 or bfloat16, contiguous) over all ranks, in place, on the exchange stream.
  /// Collective: the same calls in the same order on every rank. Until an event behind it is complete, they hold
  /// anything.
  virtual void all_reduce_sum(const at::Tensor& values) = 0;
  /// Runs `work` on some thread of the host when the stream comes here; the stream goes on once it has returned, and
  /// what it wrote is there behind it. `work` owns what it uses, calls nothing of the device and does not throw; it is
  /// destroyed on the calling thread, or never. Nothing ends it from outside: its owner sees to that before `abort`.
  virtual void run_on_host(Stream stream, std::function<void()> work) = 0;

  virtual Event make_event() = 0;
  /// The event is complete once all that is on the stream now has happened. Before its first record it is.
  virtual void record(Event event, Stream stream) = 0;
  /// As make_event, and with a time once it is complete. Fewer are better: a time costs the stream a little.
  virtual Event make_timed_event() = 0;
  /// By the device's clock, from one timed event to another, of any stream. Requires that both are complete.
  virtual double seconds_between(Event from, Event to) = 0;
  /// What is enqueued on the stream from now on happens after the event.
  virtual void wait(Stream stream, Event event) = 0;
  /// Does not wait: whoever needs the event on the host polls, and gives up when it wants to. What happened before a
  /// complete event is seen by the caller.
  virtual bool is_complete(Event event) = 0;
  /// True where the compute stream is the calling thread itself: what is launched on it has happened when `launch`
  /// returns, and a `wait` of it, alone of all, lasts until the event is complete.
  virtual bool computes_here() const { return false; }

  /// Not collective: gives up what is in flight, so that this process can end. Memory keeps anything.
  virtual void abort() = 0;
};

}  // namespace regatta
