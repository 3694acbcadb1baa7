// What lies on the streams, two slots taking turns; the host only puts it there:
//
//   loader's thread   gather 2            gather 3            ...
//   copy              copy 1              copy 2
//                     ^     | copied      ^     | copied
//                     |     v             |     v
//   compute      used | transform 1, step 1     transform 2, step 2
//
// Three waits order it, and tests/worker/batch_waits_test.cpp shows of each that a batch is wrong without it:
//   copy for `used`       a slot is written over when it was transformed: two batches later
//   compute for `copied`  a batch is transformed when it is there
//   host for `copied`     the loader's thread fills a buffer again when its batch was copied. The taking of the next
//                         but one allows that, and so waits for it; a batch is taken ahead only where nobody need wait
//
// By then its copy has long happened, so the host does not wait in practice. When shares change or an epoch begins,
// what was taken ahead goes back to the loader and is made anew; its slot is written over in its turn.

#include "worker/device_batches.hpp"

#include <array>
#include <optional>
#include <utility>

#include "common/error.hpp"
#include "worker/device_transform.hpp"
#include "worker/loader_thread.hpp"
#include "worker/polled_wait.hpp"
#include "worker/raw_batch.hpp"

namespace regatta {

namespace {

/// Raw batches in, batches on the device out; at most one ahead.
class DeviceFeed {
 public:
  DeviceFeed(const Plan& plan, Split split, std::int64_t capacity, Device& device, Watchdog& watchdog)
      : plan_(plan), split_(split), device_(device), watchdog_(watchdog) {
    for (Slot& slot : slots_) {
      slot.copied = device.make_event();
      slot.used = device.make_event();
    }
    allot(capacity);
  }

  ~DeviceFeed() {
    try {
      for (const Slot& slot : slots_)  // their memory is let go of
        if (slot.in_flight) device_.wait(Stream::kCompute, slot.copied);
    } catch (const CommError&) {  // a device that has failed writes nothing any more
    }
  }
  DeviceFeed(const DeviceFeed&) = delete;
  DeviceFeed& operator=(const DeviceFeed&) = delete;

  /// Has the batch before the last left the host? Then another may be copied.
  bool has_room() { return has_left(slots_[1 - turn_]); }
  void wait_for_room() { wait_for(slots_[1 - turn_]); }
  /// All that were copied have left the host.
  void settle() {
    for (Slot& slot : slots_) wait_for(slot);
  }

  /// When settled. The batch that was delivered last stays valid.
  void make_room(std::int64_t capacity) {
    if (capacity > capacity_) allot(capacity);
  }

  /// When there is room, and none is ahead. `raw` stays as it is until there is room after another, or all is settled.
  void copy(const RawBatch& raw) {
    turn_ = 1 - turn_;
    Slot& slot = slots_[turn_];
    slot.content = raw.content();
    ahead_ = true;
    if (raw.count() == 0) return;
    device_.wait(Stream::kCopy, slot.used);
    for (const auto& [to, from] : {std::pair{slot.bytes, raw.bytes()}, std::pair{slot.numbers, raw.numbers()}})
      if (from.numel() > 0) device_.copy(Stream::kCopy, to.narrow(0, 0, from.numel()), from);
    device_.record(slot.copied, Stream::kCopy);
    slot.in_flight = true;
  }
  bool ahead() const { return ahead_; }
  /// Forgets it; was there one?
  bool give_back() { return std::exchange(ahead_, false); }

  /// The one ahead; valid until the next call.
  const Batch& deliver() {
    Slot& slot = slots_[turn_];
    ahead_ = false;
    const auto count = static_cast<std::int64_t>(slot.content.samples.size());
    if (count > 0) {
      device_.wait(Stream::kCompute, slot.copied);
      transform_->launch(slot.bytes, slot.numbers, count);
      device_.record(slot.used, Stream::kCompute);
    }
    batch_.inputs = transform_->inputs().narrow(0, 0, count);
    batch_.targets = transform_->targets().narrow(0, 0, count);
    batch_.global_samples = slot.content.global_samples;
    batch_.parts.swap(slot.content.parts);
    batch_.samples.swap(slot.content.samples);
    return batch_;
  }

 private:
  struct Slot {
    at::Tensor bytes, numbers;  // as DeviceTransform makes them
    Event copied, used;
    bool in_flight = false;  // until the host has seen `copied` complete
    BatchContent content;
  };

  bool has_left(Slot& slot) {
    if (slot.in_flight && device_.is_complete(slot.copied)) slot.in_flight = false;
    return !slot.in_flight;
  }
  void wait_for(Slot& slot) {
    if (has_left(slot)) return;
    const WatchedWait wait(watchdog_, "copy of a batch", WaitKind::kPolling);
    poll_until(watchdog_, [&] { return has_left(slot); });
  }

  void allot(std::int64_t capacity) {
    capacity_ = capacity;
    transform_.emplace(plan_, split_, capacity, device_);
    for (Slot& slot : slots_) {
      slot.bytes = transform_->make_bytes();
      slot.numbers = transform_->make_numbers();
    }
  }

  const Plan& plan_;
  const Split split_;
  Device& device_;
  Watchdog& watchdog_;
  std::int64_t capacity_ = 0;
  std::optional<DeviceTransform> transform_;
  std::array<Slot, 2> slots_;
  std::size_t turn_ = 0;  // the slot that was copied to last
  bool ahead_ = false;    // and was not delivered
  Batch batch_;
};

class DeviceBatches final : public BatchSource {
 public:
  DeviceBatches(const Plan& plan, std::unique_ptr<SampleSource> source, int rank, Device& device, Watchdog& watchdog,
                BeforeBatch before)
      : loader_(
            plan, std::move(source), rank,
            [&plan, &device](std::int64_t capacity) { return RawBatch(plan, capacity, device); }, std::move(before)),
        feed_(plan, Split::kTrain, loader_.capacity(), device, watchdog) {}

  std::int64_t batches_per_epoch() const override { return loader_.batches_per_epoch(); }

  void start_epoch(int epoch) override {
    feed_.settle();
    feed_.give_back();
    loader_.start_epoch(epoch);
  }

  void set_shares(std::span<const std::int64_t> weights) override {
    feed_.settle();
    loader_.set_shares(weights, /*put_back=*/feed_.give_back());
    feed_.make_room(loader_.capacity());
  }

  const Batch& next() override {
    if (!feed_.ahead()) {
      feed_.wait_for_room();
      feed_.copy(loader_.take());
    }
    const Batch& batch = feed_.deliver();
    if (feed_.has_room() && loader_.ready()) feed_.copy(loader_.take());
    return batch;
  }

 private:
  LoaderThread<RawBatch, 2> loader_;  // holds what the two slots were copied from
  DeviceFeed feed_;
};

class DeviceEvaluation final : public EvaluationSource {
 public:
  DeviceEvaluation(const Plan& plan, std::unique_ptr<SampleSource> source, int rank, Device& device, Watchdog& watchdog)
      : plan_(plan),
        source_(std::move(source)),
        device_(device),
        part_(plan, rank),
        transform_(plan, Split::kTest),
        capacity_(part_.largest()),
        raw_(plan, capacity_, device),
        feed_(plan, Split::kTest, capacity_, device, watchdog) {}

  std::int64_t batches() const override { return part_.batches(); }

  void set_shares(std::span<const std::int64_t> weights) override {
    feed_.settle();
    part_.set_shares(weights);
    if (part_.largest() <= capacity_) return;
    capacity_ = part_.largest();
    raw_ = RawBatch(plan_, capacity_, device_);
    feed_.make_room(capacity_);
  }

  const Batch& batch(std::int64_t index) override {
    const BatchContent content = part_.content(index);
    feed_.settle();
    raw_.fill(*source_, transform_, content);
    feed_.copy(raw_);
    return feed_.deliver();
  }

 private:
  const Plan& plan_;
  const std::unique_ptr<SampleSource> source_;
  Device& device_;
  TestPart part_;
  InputTransform transform_;
  std::int64_t capacity_;
  RawBatch raw_;
  DeviceFeed feed_;
};

}  // namespace

std::unique_ptr<BatchSource> make_device_batches(const Plan& plan, std::unique_ptr<SampleSource> source, int rank,
                                                 Device& device, Watchdog& watchdog, BeforeBatch before) {
  return std::make_unique<DeviceBatches>(plan, std::move(source), rank, device, watchdog, std::move(before));
}

std::unique_ptr<EvaluationSource> make_device_evaluation(const Plan& plan, std::unique_ptr<SampleSource> source,
                                                         int rank, Device& device, Watchdog& watchdog) {
  return std::make_unique<DeviceEvaluation>(plan, std::move(source), rank, device, watchdog);
}

}  // namespace regatta
