#include "worker/batch_buffer.hpp"

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "common/error.hpp"

namespace regatta {

namespace {

template <class T>
void look_up(const std::array<T, 256>& table, const std::uint8_t* from, std::int64_t count, T* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = table[from[i]];
}

std::vector<std::int64_t> batch_shape(const Plan& plan, std::int64_t capacity) {
  std::vector<std::int64_t> shape = plan.dataset.sample_shape;
  shape.insert(shape.begin(), capacity);
  return shape;
}

}  // namespace

Normalisation::Normalisation(const DatasetIndex& index) {
  for (std::size_t x = 0; x < double_.size(); ++x) {
    double_[x] = (static_cast<double>(x) / 255 - index.mean[0]) / index.deviation[0];
    single_[x] = static_cast<float>(double_[x]);
  }
}

void Normalisation::apply(const std::uint8_t* from, std::int64_t count, float* to) const {
  look_up(single_, from, count, to);
}
void Normalisation::apply(const std::uint8_t* from, std::int64_t count, double* to) const {
  look_up(double_, from, count, to);
}

BatchBuffer::BatchBuffer(const Plan& plan, std::int64_t capacity)
    : sample_bytes_(plan.dataset.sample_bytes()),
      inputs_(at::empty(batch_shape(plan, capacity),
                        plan.training.train.precision == Precision::kFp64 ? at::kDouble : at::kFloat)),
      targets_(at::empty({capacity}, at::kLong)) {}

void BatchBuffer::fill(const DecodedSplit& split, const Normalisation& normalisation, std::int64_t count,
                       std::int64_t global_samples, const std::function<std::int64_t(std::int64_t)>& sample_at) {
  REGATTA_ENSURE(count <= targets_.size(0), "a batch larger than its buffer");
  batch_.samples.resize(static_cast<std::size_t>(count));
  auto* targets = targets_.mutable_data_ptr<std::int64_t>();
  const auto gather = [&](auto* inputs) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t sample = sample_at(i);
      if (sample < 0 || sample >= split.count)
        throw DataError("sample " + std::to_string(sample) + " of a dataset of " + std::to_string(split.count));
      normalisation.apply(split.pixels + sample * sample_bytes_, sample_bytes_, inputs + i * sample_bytes_);
      targets[i] = split.labels[sample];
      batch_.samples[static_cast<std::size_t>(i)] = sample;
    }
  };
  if (inputs_.scalar_type() == at::kDouble)
    gather(inputs_.mutable_data_ptr<double>());
  else
    gather(inputs_.mutable_data_ptr<float>());
  batch_.inputs = inputs_.narrow(0, 0, count);
  batch_.targets = targets_.narrow(0, 0, count);
  batch_.parts = {count};
  batch_.global_samples = global_samples;
}

}  // namespace regatta
