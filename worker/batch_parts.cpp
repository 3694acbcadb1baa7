#include "worker/batch_parts.hpp"

#include <algorithm>

#include "common/error.hpp"
#include "jobs/sample_order.hpp"

namespace regatta {

namespace {

constexpr std::int64_t kTestBatch = 1000;  // over all ranks; more would only take memory

/// The rank's part of each micro-batch of a global batch, in order.
std::vector<PositionRange> parts_of(PositionRange global, std::int64_t count, std::span<const std::int64_t> shares,
                                    int rank) {
  std::vector<PositionRange> parts;
  for (std::int64_t part = 0; part < count; ++part)
    parts.push_back(share_of(micro_batch(global, count, part), shares, rank));
  return parts;
}

/// A rank's of the test set.
std::int64_t batch_size_of(const Plan& plan) {
  const TrainSpec& train = plan.training.train;
  const std::int64_t part = std::max<std::int64_t>(1, std::min(train.batch, kTestBatch) / plan.placement.ranks);
  return std::min(part, train.micro_batch.value_or(part));
}

}  // namespace

BatchContent content_of(const Plan& plan, int epoch, std::int64_t batch, std::span<const std::int64_t> shares,
                        int rank) {
  const SampleOrder order(plan.dataset.train_count, plan.training.train.seed, epoch);
  const PositionRange global = global_batch(plan.dataset.train_count, plan.training.train.batch, batch);
  BatchContent content{.epoch = epoch, .global_samples = global.size()};
  for (const PositionRange& part : parts_of(global, plan.training.train.accumulate, shares, rank)) {
    for (std::int64_t position = part.begin; position < part.end; ++position)
      content.samples.push_back(order(position));
    content.parts.push_back(part.size());
  }
  return content;
}

// Of a full batch, or of the short last one: never more by a whole sample a part, but rounding may favour it.
std::int64_t largest_content(const Plan& plan, std::span<const std::int64_t> shares, int rank) {
  const auto share = [&](std::int64_t size) {
    std::int64_t samples = 0;
    for (const PositionRange& part : parts_of({0, size}, plan.training.train.accumulate, shares, rank))
      samples += part.size();
    return samples;
  };
  const std::int64_t count = plan.dataset.train_count, batch = plan.training.train.batch;
  return std::max(share(std::min(batch, count)), share(count % batch));
}

TestPart::TestPart(const Plan& plan, int rank) : plan_(plan), rank_(rank), batch_size_(batch_size_of(plan)) {
  set_shares(plan.shares);
}

void TestPart::set_shares(std::span<const std::int64_t> weights) {
  part_ = share_of({0, plan_.dataset.test_count}, weights, rank_);
}

std::int64_t TestPart::batches() const {
  return part_.size() == 0 ? 0 : batches_per_epoch(part_.size(), batch_size_);
}

std::int64_t TestPart::largest() const {
  return std::min(batch_size_, part_.size());
}

BatchContent TestPart::content(std::int64_t batch) const {
  REGATTA_ENSURE(batch >= 0 && batch < batches(), "a batch beyond the test set");
  const PositionRange range = global_batch(part_.size(), batch_size_, batch);
  BatchContent content{.parts = {range.size()}, .global_samples = range.size()};
  for (std::int64_t i = range.begin; i < range.end; ++i) content.samples.push_back(part_.begin + i);
  return content;
}

}  // namespace regatta
