#include "tests/worker/worker_samples.hpp"

#include <utility>

namespace regatta::test {

SmallDataset::SmallDataset(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t j = 0; j < kSampleBytes; ++j) pixels.push_back(pixel(i, j));
    labels.push_back(i % 10);
  }
}

DecodedSplit SmallDataset::split() const {
  return {static_cast<std::int64_t>(labels.size()), pixels.data(), labels.data()};
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

}  // namespace regatta::test
