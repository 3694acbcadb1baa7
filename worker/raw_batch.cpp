#include "worker/raw_batch.hpp"

#include <algorithm>

#include "common/error.hpp"

namespace regatta {

RawBatch::RawBatch(const Plan& plan, std::int64_t capacity, Device& device)
    : text_(plan.dataset.is_text()),
      capacity_(capacity),
      sample_bytes_(plan.dataset.sample_bytes()),
      bytes_(device.host_memory(capacity * sample_bytes_, at::kByte)),
      numbers_(device.host_memory(text_ ? 0 : kRawNumbers * capacity, at::kLong)) {}

void RawBatch::fill(SampleSource& source, InputTransform& transform, const BatchContent& content) {
  const auto count = static_cast<std::int64_t>(content.samples.size());
  REGATTA_ENSURE(count <= capacity_, "a batch larger than its buffer");
  auto* const bytes = bytes_.mutable_data_ptr<std::uint8_t>();
  std::int64_t* const numbers = text_ ? nullptr : numbers_.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t number = content.samples[static_cast<std::size_t>(i)];
    const RawSample sample = source.sample(number);
    std::copy(sample.bytes, sample.bytes + sample_bytes_, bytes + i * sample_bytes_);
    if (text_) continue;
    const Augmentation& augmentation = transform.augmentation;
    const Draw draw = augmentation.draw(content.epoch, number);
    const auto put = [&](RawNumber which, std::int64_t value) {
      numbers[static_cast<std::int64_t>(which) * count + i] = value;
    };
    put(RawNumber::kLabel, sample.label);
    put(RawNumber::kDown, draw.down + augmentation.most_down());
    put(RawNumber::kRight, 2 * (draw.right + augmentation.most_right()) + (draw.mirrored ? 1 : 0));
  }
  content_ = content;
}

at::Tensor RawBatch::bytes() const {
  return bytes_.narrow(0, 0, count() * sample_bytes_);
}

at::Tensor RawBatch::numbers() const {
  return numbers_.narrow(0, 0, text_ ? 0 : kRawNumbers * count());
}

}  // namespace regatta
