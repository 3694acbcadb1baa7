#pragma once
// What tests of batches on a device share: a device in host memory, and a step that reads a batch when the device does.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "tests/mpi/late_device.hpp"
#include "worker/batch_source.hpp"
#include "worker/rank_context.hpp"
#include "worker/sample_source.hpp"
#include "worker/watchdog.hpp"

namespace regatta::test {

/// What a LateDevice of one rank needs.
struct LateHost {
  std::unique_ptr<RankContext> ranks = make_solo_context();
  HostSums sums{*ranks};
  Watchdog watchdog{std::chrono::seconds(60), [](const std::string&) {}};
};

/// A batch as a step found it.
struct SeenBatch {
  at::Tensor inputs, targets;
  std::vector<std::int64_t> parts, samples;
  std::int64_t global_samples = 0;

  bool equals(const SeenBatch& other) const {
    return inputs.scalar_type() == other.inputs.scalar_type() && inputs.equal(other.inputs) &&
           inputs.strides() == other.inputs.strides() && targets.equal(other.targets) && parts == other.parts &&
           samples == other.samples && global_samples == other.global_samples;
  }
};

/// Its tensors are read when the compute stream comes to it, as a model would.
inline SeenBatch step_on(Device& device, const Batch& batch) {
  SeenBatch seen{at::empty_like(batch.inputs), at::empty_like(batch.targets), batch.parts, batch.samples,
                 batch.global_samples};
  device.launch(Stream::kCompute, [to = seen, inputs = batch.inputs, targets = batch.targets] {
    const c10::NoGradGuard no_grad;
    to.inputs.copy_(inputs);
    to.targets.copy_(targets);
  });
  return seen;
}
inline SeenBatch seen_on_host(const Batch& batch) {
  return {batch.inputs.clone(), batch.targets.clone(), batch.parts, batch.samples, batch.global_samples};
}

/// Says how many samples were asked for: all before the last one are gathered.
class CountedSamples final : public SampleSource {
 public:
  CountedSamples(std::unique_ptr<SampleSource> source, std::atomic<std::int64_t>& asked)
      : source_(std::move(source)), asked_(asked) {}
  RawSample sample(std::int64_t number) override {
    ++asked_;
    return source_->sample(number);
  }

 private:
  std::unique_ptr<SampleSource> source_;
  std::atomic<std::int64_t>& asked_;
};

/// Passes everything on; for tests that watch a device, or stand in its way.
class PassingDevice : public Device {
 public:
  explicit PassingDevice(Device& device) : device_(device) {}

  const char* name() const override { return device_.name(); }
  c10::Device where() const override { return device_.where(); }
  at::Tensor memory(std::int64_t count, at::ScalarType type) override { return device_.memory(count, type); }
  at::Tensor host_memory(std::int64_t count, at::ScalarType type) override { return device_.host_memory(count, type); }
  void launch(Stream stream, std::function<void()> work) override { device_.launch(stream, std::move(work)); }
  void copy(Stream stream, const at::Tensor& to, const at::Tensor& from) override { device_.copy(stream, to, from); }
  void all_reduce_sum(const at::Tensor& values) override { device_.all_reduce_sum(values); }
  void run_on_host(Stream stream, std::function<void()> work) override { device_.run_on_host(stream, std::move(work)); }
  Event make_event() override { return device_.make_event(); }
  Event make_timed_event() override { return device_.make_timed_event(); }
  double seconds_between(Event from, Event to) override { return device_.seconds_between(from, to); }
  void record(Event event, Stream stream) override { device_.record(event, stream); }
  void wait(Stream stream, Event event) override { device_.wait(stream, event); }
  bool is_complete(Event event) override { return device_.is_complete(event); }
  void abort() override { device_.abort(); }

 private:
  Device& device_;
};

}  // namespace regatta::test
