#include "worker/loader.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ostream>

#include "common/error.hpp"
#include "jobs/sample_order.hpp"
#include "tests/support/process.hpp"
#include "tests/worker/worker_samples.hpp"

namespace regatta {
namespace {

using Samples = std::vector<std::int64_t>;

/// What every rank delivers for one epoch, by batch and rank.
std::vector<std::vector<Samples>> deliver(const Plan& plan, const DecodedSplit& split, int epoch) {
  std::vector<std::vector<Samples>> batches;
  for (int rank = 0; rank < plan.placement.ranks; ++rank) {
    const auto loader = make_loader(plan, split, rank);
    loader->start_epoch(epoch);
    batches.resize(static_cast<std::size_t>(loader->batches_per_epoch()));
    for (auto& batch : batches) batch.push_back(loader->next().samples);
  }
  return batches;
}

struct Case {
  std::int64_t count, batch;
  Samples shares;
};
void PrintTo(const Case& shape, std::ostream* out) {
  *out << shape.count << " samples, batches of " << shape.batch << ", shares " << testing::PrintToString(shape.shares);
}

class Delivery : public testing::TestWithParam<Case> {};

// The oracle knows neither shares nor buffers: global batch b is positions [bB, (b+1)B) of the order.
TEST_P(Delivery, RanksTogetherDeliverEachGlobalBatchInOrder) {
  const auto& [count, batch_size, shares] = GetParam();
  const test::SmallDataset data(count);
  const Plan plan = test::small_plan(count, batch_size, shares);
  for (const int epoch : {1, 2}) {
    const SampleOrder order(count, 5, epoch);
    std::int64_t position = 0;
    const auto batches = deliver(plan, data.split(), epoch);
    for (const auto& ranks : batches) {
      Samples together, expected;
      for (const auto& part : ranks) together.insert(together.end(), part.begin(), part.end());
      for (std::int64_t i = 0; i < batch_size && position < count; ++i) expected.push_back(order(position++));
      EXPECT_EQ(together, expected);
    }
    EXPECT_EQ(position, count);
  }
}

TEST_P(Delivery, PartsFollowTheSharesWithinOneSample) {
  const auto& [count, batch_size, shares] = GetParam();
  const test::SmallDataset data(count);
  const Plan plan = test::small_plan(count, batch_size, shares);
  double total = 0;
  for (const auto weight : shares) total += static_cast<double>(weight);
  for (const auto& ranks : deliver(plan, data.split(), 1)) {
    double size = 0;
    for (const auto& part : ranks) size += static_cast<double>(part.size());
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
      const double fair = size * static_cast<double>(shares[rank]) / total;
      EXPECT_LT(std::abs(static_cast<double>(ranks[rank].size()) - fair), 1);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Delivery,
                         testing::Values(Case{40, 8, {1}}, Case{41, 8, {1, 1}}, Case{43, 8, {3, 1}},
                                         Case{43, 7, {1, 1, 1}}, Case{10, 3, {1, 1, 1, 1}}, Case{20, 6, {1, 0}},
                                         Case{5, 64, {1, 1}}));

class Values : public testing::TestWithParam<Precision> {};

TEST_P(Values, AreNormalisedBytesAndTheirLabels) {
  const test::SmallDataset data(300);
  const Plan plan = test::small_plan(300, 64, {1, 1}, GetParam());
  const auto loader = make_loader(plan, data.split(), 1);
  loader->start_epoch(1);
  const bool fp64 = GetParam() == Precision::kFp64;
  for (std::int64_t b = 0; b < loader->batches_per_epoch(); ++b) {
    const Batch& batch = loader->next();
    const auto samples = static_cast<std::int64_t>(batch.samples.size());
    ASSERT_EQ(batch.inputs.sizes(), (std::vector<std::int64_t>{samples, 1, 2, 3}));
    ASSERT_EQ(batch.inputs.scalar_type(), fp64 ? at::kDouble : at::kFloat);
    EXPECT_EQ(batch.global_samples, b == 4 ? 300 - 4 * 64 : 64);
    for (std::int64_t i = 0; i < samples; ++i) {
      const std::int64_t sample = batch.samples[static_cast<std::size_t>(i)];
      EXPECT_EQ(batch.targets[i].item<std::int64_t>(), sample % 10);
      const at::Tensor flat = batch.inputs[i].flatten();
      for (std::int64_t j = 0; j < test::SmallDataset::kSampleBytes; ++j) {
        const double expected = (test::SmallDataset::pixel(sample, j) / 255.0 - 0.3) / 0.25;
        const double rounded = fp64 ? expected : static_cast<double>(static_cast<float>(expected));
        EXPECT_EQ(flat[j].item<double>(), rounded);
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Precisions, Values, testing::Values(Precision::kFp32, Precision::kFp64));

TEST(Loader, KeepsABatchWholeUntilTheNextIsAskedFor) {
  const test::SmallDataset data(64);
  const Plan plan = test::small_plan(64, 4, {1});
  std::atomic<std::int64_t> made{0};
  const auto loader = make_loader(plan, data.split(), 0, [&](std::int64_t batch) { made = batch + 1; });
  loader->start_epoch(1);
  for (std::int64_t b = 0; b < loader->batches_per_epoch(); ++b) {
    const Batch& batch = loader->next();
    const at::Tensor before = batch.inputs.clone();
    // Two more are made meanwhile, and no third.
    const std::int64_t ahead = std::min<std::int64_t>(b + 3, 16);
    EXPECT_TRUE(test::wait_until([&] { return made == ahead; })) << "batch " << b << ", made " << made;
    EXPECT_TRUE(batch.inputs.equal(before));
    EXPECT_LE(made, ahead);
  }
}

TEST(Loader, RethrowsWhatTheProducerThrewAfterTheBatchesBefore) {
  const test::SmallDataset data(64);
  const Plan plan = test::small_plan(64, 4, {1});
  const auto loader = make_loader(plan, data.split(), 0, [](std::int64_t batch) {
    if (batch == 2) throw DataError("a damaged sample");
  });
  loader->start_epoch(1);
  EXPECT_NO_THROW(loader->next());
  EXPECT_NO_THROW(loader->next());
  EXPECT_THROW(loader->next(), DataError);
  EXPECT_THROW(loader->next(), DataError) << "again and again, never a hang";
}

TEST(Loader, RefusesASampleTheDatasetDoesNotHave) {
  const test::SmallDataset data(63);  // the plan says 64
  const Plan plan = test::small_plan(64, 64, {1});
  const auto loader = make_loader(plan, data.split(), 0);
  loader->start_epoch(1);
  EXPECT_THROW(loader->next(), DataError);
}

TEST(Loader, MayBeDestroyedAtAnyMoment) {
  const test::SmallDataset data(64);
  const Plan plan = test::small_plan(64, 4, {1});
  for (int taken = 0; taken < 8; ++taken) {
    const auto loader = make_loader(plan, data.split(), 0);
    if (taken == 0) continue;  // never started
    loader->start_epoch(1);
    for (int i = 1; i < taken; ++i) loader->next();
  }
}

TEST(Loader, StartsAnotherEpochInTheMiddleOfOne) {
  const test::SmallDataset data(64);
  const Plan plan = test::small_plan(64, 4, {1});
  const auto loader = make_loader(plan, data.split(), 0);
  for (int epoch = 1; epoch <= 20; ++epoch) {
    loader->start_epoch(epoch);
    const SampleOrder order(64, 5, epoch);
    for (std::int64_t b = 0; b < epoch % 5; ++b) {
      const Batch& batch = loader->next();
      for (std::int64_t i = 0; i < 4; ++i) EXPECT_EQ(batch.samples[static_cast<std::size_t>(i)], order(4 * b + i));
    }
  }
}

TEST(EvaluationSource, CoversTheTestSetOnceInOrder) {
  for (const Samples& shares : {Samples{1}, Samples{1, 1}, Samples{3, 1}, Samples{1, 0, 2}}) {
    const test::SmallDataset data(103);
    const Plan plan = test::small_plan(103, 30, shares);
    std::int64_t next = 0;
    for (int rank = 0; rank < plan.placement.ranks; ++rank) {
      const auto source = make_evaluation_source(plan, data.split(), rank);
      for (std::int64_t b = 0; b < source->batches(); ++b) {
        const Batch& batch = source->batch(b);
        EXPECT_LE(batch.targets.numel(), std::max<std::int64_t>(1, 30 / plan.placement.ranks));
        for (const std::int64_t sample : batch.samples) EXPECT_EQ(sample, next++);
      }
    }
    EXPECT_EQ(next, 103);
  }
}

}  // namespace
}  // namespace regatta
