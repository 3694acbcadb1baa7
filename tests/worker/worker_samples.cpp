#include "tests/worker/worker_samples.hpp"

#include <utility>

namespace regatta::test {

SmallDataset::SmallDataset(std::int64_t count, std::int64_t bytes) : sample_bytes(bytes) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t j = 0; j < sample_bytes; ++j) pixels.push_back(pixel(i, j));
    labels.push_back(i % 10);
  }
}

DecodedSplit SmallDataset::split() const {
  return {static_cast<std::int64_t>(labels.size()), pixels.data(), labels.data()};
}

std::unique_ptr<SampleSource> SmallDataset::source() const {
  return samples_in_memory(split(), sample_bytes);
}

Plan small_plan(std::int64_t count, std::int64_t batch, std::vector<std::int64_t> shares, Precision precision) {
  Plan plan;
  plan.run = new_run_id();
  plan.training.train.batch = batch;
  plan.training.train.seed = 5;
  plan.training.train.precision = precision;
  plan.dataset.train_count = plan.dataset.test_count = count;
  plan.dataset.classes = 10;
  plan.dataset.sample_shape = {1, 2, 3};
  plan.dataset.mean = {0.3};
  plan.dataset.deviation = {0.25};
  plan.placement.configuration = "small";
  plan.placement.ranks = static_cast<int>(shares.size());
  plan.shares = std::move(shares);
  return plan;
}

Plan plan_with_shape(Plan plan, std::vector<std::int64_t> shape) {
  DatasetIndex& index = plan.dataset;
  index.sample_shape = std::move(shape);
  index.mean.clear();
  index.deviation.clear();
  for (std::int64_t c = 0; !index.is_text() && c < index.channels(); ++c) {
    index.mean.push_back(0.3 + 0.05 * static_cast<double>(c));
    index.deviation.push_back(0.25 - 0.02 * static_cast<double>(c));
  }
  return plan;
}

}  // namespace regatta::test
