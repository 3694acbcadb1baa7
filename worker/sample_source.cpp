#include "worker/sample_source.hpp"

#include <string>
#include <vector>

#include "common/error.hpp"

namespace regatta {

namespace {

class SamplesInMemory final : public SampleSource {
 public:
  SamplesInMemory(const DecodedSplit& split, std::int64_t sample_bytes) : split_(split), sample_bytes_(sample_bytes) {}

  RawSample sample(std::int64_t number) override {
    if (number < 0 || number >= split_.count)
      throw DataError("sample " + std::to_string(number) + " of a dataset of " + std::to_string(split_.count));
    return {split_.pixels + number * sample_bytes_, split_.labels[number]};
  }

 private:
  const DecodedSplit split_;
  const std::int64_t sample_bytes_;
};

class StreamedSamples final : public SampleSource {
 public:
  StreamedSamples(const Plan& plan, Split split)
      : reader_(open_samples(plan.dataset, plan.training.train.seed, split)),
        bytes_(static_cast<std::size_t>(plan.dataset.sample_bytes())) {}

  RawSample sample(std::int64_t number) override {
    const std::int64_t label = reader_->read(number, bytes_.data());
    return {bytes_.data(), label};
  }

 private:
  std::unique_ptr<SampleReader> reader_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

std::unique_ptr<SampleSource> samples_in_memory(const DecodedSplit& split, std::int64_t sample_bytes) {
  return std::make_unique<SamplesInMemory>(split, sample_bytes);
}

std::unique_ptr<SampleSource> streamed_samples(const Plan& plan, Split split) {
  return std::make_unique<StreamedSamples>(plan, split);
}

std::unique_ptr<SampleSource> open_source(const Plan& plan, const NodeDataset& data, Split split) {
  if (plan.streamed) return streamed_samples(plan, split);
  return samples_in_memory(split == Split::kTrain ? data.train : data.test, plan.dataset.sample_bytes());
}

}  // namespace regatta
