#pragma once
// What tests of batches on a device share: a device in host memory, and a step that reads a batch when the device does.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "tests/mpi/late_device.hpp"
#include "tests/mpi/passing_device.hpp"
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

}  // namespace regatta::test
