#include "worker/loader.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ostream>

#include "common/error.hpp"
#include "jobs/sample_order.hpp"
#include "jobs/shares.hpp"
#include "tests/support/process.hpp"
#include "tests/worker/worker_samples.hpp"

namespace regatta {
namespace {

using Samples = std::vector<std::int64_t>;

/// What every rank delivers for one epoch, by batch and rank.
std::vector<std::vector<Samples>> deliver(const Plan& plan, const test::SmallDataset& data, int epoch) {
  std::vector<std::vector<Samples>> batches;
  for (int rank = 0; rank < plan.placement.ranks; ++rank) {
    const auto loader = make_loader(plan, data.source(), rank);
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
    const auto batches = deliver(plan, data, epoch);
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
  for (const auto& ranks : deliver(plan, data, 1)) {
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

/// What all ranks deliver of each part of each global batch of an epoch: by batch, part.
std::vector<std::vector<Samples>> deliver_parts(const Plan& plan, const test::SmallDataset& data) {
  std::vector<std::vector<Samples>> batches;
  for (int rank = 0; rank < plan.placement.ranks; ++rank) {
    const auto loader = make_loader(plan, data.source(), rank);
    loader->start_epoch(1);
    batches.resize(static_cast<std::size_t>(loader->batches_per_epoch()));
    for (auto& parts : batches) {
      const Batch& batch = loader->next();
      parts.resize(batch.parts.size());
      auto sample = batch.samples.begin();
      for (std::size_t part = 0; part < parts.size(); ++part) {
        parts[part].insert(parts[part].end(), sample, sample + batch.parts[part]);
        sample += batch.parts[part];
      }
      EXPECT_EQ(sample, batch.samples.end());
    }
  }
  return batches;
}

// The oracle: part j of k of a global batch of size s is its positions [floor(s j / k), floor(s (j + 1) / k)).
TEST(Accumulation, CutsTheGlobalBatchInTheSamePlacesForAnyNumberOfRanks) {
  constexpr std::int64_t kCount = 47, kBatch = 11;  // a last batch of 3, so that of 5 parts some are empty
  const test::SmallDataset data(kCount);
  const SampleOrder order(kCount, 5, 1);
  for (const std::int64_t accumulate : {1, 2, 3, 5}) {
    for (const Samples& shares : {Samples{1}, Samples{1, 1}, Samples{1, 1, 1, 1}, Samples{3, 0, 1}}) {
      Plan plan = test::small_plan(kCount, kBatch, shares);
      plan.training.train.accumulate = accumulate;
      const auto batches = deliver_parts(plan, data);
      ASSERT_EQ(batches.size(), 5U);
      for (std::size_t b = 0; b < batches.size(); ++b) {
        const std::int64_t begin = static_cast<std::int64_t>(b) * kBatch, size = std::min(kBatch, kCount - begin);
        ASSERT_EQ(batches[b].size(), static_cast<std::size_t>(accumulate));
        for (std::int64_t part = 0; part < accumulate; ++part) {
          Samples expected;
          for (std::int64_t i = size * part / accumulate; i < size * (part + 1) / accumulate; ++i)
            expected.push_back(order(begin + i));
          EXPECT_EQ(batches[b][static_cast<std::size_t>(part)], expected)
              << "batch " << b << ", part " << part << " of " << accumulate << ", ranks " << shares.size();
        }
      }
    }
  }
}

class Values : public testing::TestWithParam<Precision> {};

TEST_P(Values, AreNormalisedBytesAndTheirLabels) {
  const test::SmallDataset data(300);
  const Plan plan = test::small_plan(300, 64, {1, 1}, GetParam());
  const auto loader = make_loader(plan, data.source(), 1);
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
        EXPECT_NEAR(flat[j].item<double>(), expected, fp64 ? 0 : 5e-7);
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Precisions, Values, testing::Values(Precision::kFp32, Precision::kFp64));

TEST(Loader, KeepsABatchWholeUntilTheNextIsAskedFor) {
  const test::SmallDataset data(64);
  const Plan plan = test::small_plan(64, 4, {1});
  std::atomic<std::int64_t> made{0};
  const auto loader = make_loader(plan, data.source(), 0, [&](std::int64_t batch) { made = batch + 1; });
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
  const auto loader = make_loader(plan, data.source(), 0, [](std::int64_t batch) {
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
  const auto loader = make_loader(plan, data.source(), 0);
  loader->start_epoch(1);
  EXPECT_THROW(loader->next(), DataError);
}

TEST(Loader, MayBeDestroyedAtAnyMoment) {
  const test::SmallDataset data(64);
  const Plan plan = test::small_plan(64, 4, {1});
  for (int taken = 0; taken < 8; ++taken) {
    const auto loader = make_loader(plan, data.source(), 0);
    if (taken == 0) continue;  // never started
    loader->start_epoch(1);
    for (int i = 1; i < taken; ++i) loader->next();
  }
}

TEST(Loader, StartsAnotherEpochInTheMiddleOfOne) {
  const test::SmallDataset data(64);
  const Plan plan = test::small_plan(64, 4, {1});
  const auto loader = make_loader(plan, data.source(), 0);
  for (int epoch = 1; epoch <= 20; ++epoch) {
    loader->start_epoch(epoch);
    const SampleOrder order(64, 5, epoch);
    for (std::int64_t b = 0; b < epoch % 5; ++b) {
      const Batch& batch = loader->next();
      for (std::int64_t i = 0; i < 4; ++i) EXPECT_EQ(batch.samples[static_cast<std::size_t>(i)], order(4 * b + i));
    }
  }
}

// Changed at every place of an epoch, and again in the next one, with two batches made ahead each time. The oracle
// knows the order alone.
TEST(Loader, TakesNewSharesAtAnyBatchAndLosesNoSample) {
  constexpr std::int64_t kCount = 43, kBatch = 8;
  const test::SmallDataset data(kCount);
  const std::vector<Samples> shares{{1, 1, 1}, {6, 1, 1}, {0, 8, 0}, {1, 3, 4}};
  for (std::int64_t change = 0; change <= 6; ++change) {
    Plan plan = test::small_plan(kCount, kBatch, shares[0]);
    plan.training.train.accumulate = change % 2 == 0 ? 1 : 3;
    std::vector<Samples> together(12);
    for (int rank = 0; rank < 3; ++rank) {
      std::atomic<std::int64_t> made{0};
      const auto loader = make_loader(plan, data.source(), rank, [&](std::int64_t batch) { made = batch + 1; });
      std::size_t used = 0;
      for (const int epoch : {1, 2}) {
        if (epoch == 2) loader->set_shares(shares[++used]);  // between epochs
        loader->start_epoch(epoch);
        for (std::int64_t b = 0; b < 6; ++b) {
          if (b == change) {
            EXPECT_TRUE(test::wait_until([&] { return made >= std::min<std::int64_t>(b + 2, 6); }));
            loader->set_shares(shares[++used]);
          }
          const Batch& batch = loader->next();
          EXPECT_EQ(batch.targets.size(0), static_cast<std::int64_t>(batch.samples.size()));
          if (plan.training.train.accumulate == 1) {
            const auto global = global_batch(kCount, kBatch, b);
            EXPECT_EQ(static_cast<std::int64_t>(batch.samples.size()), share_of(global, shares[used], rank).size());
          }
          for (std::size_t i = 0; i < batch.samples.size(); ++i)
            EXPECT_EQ(batch.targets[static_cast<std::int64_t>(i)].item<std::int64_t>(), batch.samples[i] % 10);
          Samples& all = together[static_cast<std::size_t>(6 * (epoch - 1) + b)];
          all.insert(all.end(), batch.samples.begin(), batch.samples.end());
        }
      }
    }
    for (std::int64_t b = 0; b < 12; ++b) {
      const SampleOrder order(kCount, 5, b < 6 ? 1 : 2);
      Samples expected;
      for (std::int64_t i = 8 * (b % 6); i < std::min(kCount, 8 * (b % 6 + 1)); ++i) expected.push_back(order(i));
      Samples& all = together[static_cast<std::size_t>(b)];
      std::sort(all.begin(), all.end());
      std::sort(expected.begin(), expected.end());
      EXPECT_EQ(all, expected) << "batch " << b << ", shares changed before batch " << change;
    }
  }
}

TEST(Loader, ForgetsAnErrorOfABatchThatAnotherRankMakesNow) {
  const test::SmallDataset data(63);  // the plan says 64: the last sample is not there
  const Plan plan = test::small_plan(64, 64, {1, 1});
  const auto one = make_loader(plan, data.source(), 0), two = make_loader(plan, data.source(), 1);
  one->start_epoch(1);
  two->start_epoch(1);
  const auto fails = [](BatchSource& loader) {
    try {
      loader.next();
    } catch (const DataError&) {
      return true;
    }
    return false;
  };
  BatchSource& bad = fails(*one) ? *one : *two;
  const bool is_first = &bad == one.get();
  EXPECT_THROW(bad.next(), DataError);
  bad.set_shares(is_first ? Samples{0, 1} : Samples{1, 0});
  EXPECT_TRUE(bad.next().samples.empty());
}

TEST(EvaluationSource, CoversTheTestSetOnceInOrder) {
  for (const Samples& shares : {Samples{1}, Samples{1, 1}, Samples{3, 1}, Samples{1, 0, 2}}) {
    const test::SmallDataset data(103);
    const Plan plan = test::small_plan(103, 30, shares);
    std::int64_t next = 0;
    for (int rank = 0; rank < plan.placement.ranks; ++rank) {
      const auto source = make_evaluation_source(plan, data.source(), rank);
      for (std::int64_t b = 0; b < source->batches(); ++b) {
        const Batch& batch = source->batch(b);
        EXPECT_LE(batch.targets.numel(), std::max<std::int64_t>(1, 30 / plan.placement.ranks));
        for (const std::int64_t sample : batch.samples) EXPECT_EQ(sample, next++);
      }
    }
    EXPECT_EQ(next, 103);
  }
}

TEST(EvaluationSource, TakesNewShares) {
  const test::SmallDataset data(103);
  const Plan plan = test::small_plan(103, 30, {1, 1, 1});
  for (const Samples& shares : {Samples{100, 1, 2}, Samples{0, 0, 1}}) {
    std::int64_t next = 0;
    for (int rank = 0; rank < 3; ++rank) {
      const auto source = make_evaluation_source(plan, data.source(), rank);
      source->set_shares(shares);
      for (std::int64_t b = 0; b < source->batches(); ++b)
        for (const std::int64_t sample : source->batch(b).samples) EXPECT_EQ(sample, next++);
    }
    EXPECT_EQ(next, 103);
  }
}

}  // namespace
}  // namespace regatta
