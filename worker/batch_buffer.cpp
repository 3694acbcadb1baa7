// float32 is laid out as the raw bytes are, (B, H, W, C) in memory, so that a row is one straight run of values; to
// torch it is a channels_last tensor. With one channel that is the plain layout as well, and is called so: torch would
// take convolutions made for channels_last otherwise.

#include "worker/batch_buffer.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>

#include "common/error.hpp"

namespace regatta {

namespace {

at::Tensor empty_inputs(const Plan& plan, std::int64_t capacity) {
  std::vector<std::int64_t> shape = plan.dataset.sample_shape;
  shape.insert(shape.begin(), capacity);
  if (plan.dataset.is_text()) return at::empty(shape, at::kLong);
  if (plan.training.train.precision == Precision::kFp64) return at::empty(shape, at::kDouble);
  const bool interleaved = plan.dataset.channels() > 1;
  return at::empty(shape,
                   at::TensorOptions(at::kFloat)
                       .memory_format(interleaved ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous));
}

at::Tensor empty_targets(const Plan& plan, std::int64_t capacity) {
  if (plan.dataset.is_text()) return at::empty({capacity, plan.dataset.targets_per_sample()}, at::kLong);
  return at::empty({capacity}, at::kLong);
}

bool is_aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % kCacheLine == 0;
}

}  // namespace

BatchBuffer::BatchBuffer(const Plan& plan, std::int64_t capacity)
    : text_(plan.dataset.is_text()),
      channels_(plan.dataset.channels()),
      height_(text_ ? 1 : plan.dataset.sample_shape[1]),
      width_(plan.dataset.sample_shape.back()),
      inputs_(empty_inputs(plan, capacity)),
      targets_(empty_targets(plan, capacity)) {
  REGATTA_ENSURE(is_aligned(inputs_.const_data_ptr()) && is_aligned(targets_.const_data_ptr()),
                 "torch's CPU allocator aligns to 64 bytes");
}

void BatchBuffer::write_image(const std::uint8_t* image, InputTransform& transform, const Draw& draw, float* to) const {
  const std::int64_t line = width_ * channels_;
  if (draw == Draw{}) return transform.normalisation.apply(image, height_ * line, to);
  for (std::int64_t y = 0; y < height_; ++y)
    transform.normalisation.apply(transform.augmentation.row(image, y, draw), line, to + y * line);
}

void BatchBuffer::write_image(const std::uint8_t* image, InputTransform& transform, const Draw& draw,
                              double* to) const {
  for (std::int64_t y = 0; y < height_; ++y)
    transform.normalisation.apply_planar(transform.augmentation.row(image, y, draw), width_, height_ * width_,
                                         to + y * width_);
}

void BatchBuffer::fill(SampleSource& source, InputTransform& transform, const BatchContent& content) {
  const auto count = static_cast<std::int64_t>(content.samples.size());
  REGATTA_ENSURE(count <= capacity(), "a batch larger than its buffer");
  auto* targets = targets_.mutable_data_ptr<std::int64_t>();
  const auto gather_text = [&](std::int64_t* inputs) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::uint8_t* const text = source.sample(content.samples[static_cast<std::size_t>(i)]).bytes;
      std::copy(text, text + width_, inputs + i * width_);
      std::copy(text + 1, text + 1 + width_, targets + i * width_);
    }
  };
  const auto gather_images = [&](auto* inputs) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t sample = content.samples[static_cast<std::size_t>(i)];
      const RawSample raw = source.sample(sample);
      const Draw draw = transform.augmentation.draw(content.epoch, sample);
      write_image(raw.bytes, transform, draw, inputs + i * channels_ * height_ * width_);
      targets[i] = raw.label;
    }
  };
  if (text_)
    gather_text(inputs_.mutable_data_ptr<std::int64_t>());
  else if (inputs_.scalar_type() == at::kDouble)
    gather_images(inputs_.mutable_data_ptr<double>());
  else
    gather_images(inputs_.mutable_data_ptr<float>());
  batch_.inputs = inputs_.narrow(0, 0, count);
  batch_.targets = targets_.narrow(0, 0, count);
  batch_.parts = content.parts;
  batch_.samples = content.samples;
  batch_.global_samples = content.global_samples;
}

}  // namespace regatta
