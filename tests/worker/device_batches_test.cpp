// The oracle is the loader of a rank that trains on the CPU: the same batches, to the bit.

#include "worker/device_batches.hpp"

#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>

#include <optional>
#include <set>

#include "common/error.hpp"
#include "tests/support/process.hpp"
#include "tests/worker/late_batches.hpp"
#include "tests/worker/worker_samples.hpp"

namespace regatta {
namespace {

using test::CountedSamples;
using test::LateDevice;
using test::LateHost;
using test::LateOptions;
using test::seen_on_host;
using test::SeenBatch;
using test::SmallDataset;
using test::step_on;

using Weights = std::vector<std::int64_t>;
using Words = std::vector<std::string>;

constexpr std::array<LateOptions, 4> kLate{
    LateOptions{}, {.late_compute = true}, {.late_copy = true}, {.late_compute = true, .late_copy = true}};

/// Counts what is asked of a device, and knows the last copies.
class WatchedDevice final : public test::PassingDevice {
 public:
  using PassingDevice::PassingDevice;

  at::Tensor memory(std::int64_t count, at::ScalarType type) override {
    ++memories;
    return PassingDevice::memory(count, type);
  }
  at::Tensor host_memory(std::int64_t count, at::ScalarType type) override {
    ++memories;
    return PassingDevice::host_memory(count, type);
  }
  void record(Event event, Stream stream) override {
    PassingDevice::record(event, stream);
    if (stream != Stream::kCopy) return;
    ++batches_copied;
    copied = event;
  }

  int memories = 0, batches_copied = 0;
  std::optional<Event> copied;  // by the last batch's copies
};

struct Kind {
  const char* name;
  Weights shape;
  Words augment = {};
  Precision precision = Precision::kFp32;
};
void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

class DeviceBatchesOf : public testing::TestWithParam<Kind> {
 protected:
  static Plan plan_over(std::int64_t count, std::int64_t batch, Weights shares) {
    Plan plan = test::plan_with_shape(test::small_plan(count, batch, std::move(shares), GetParam().precision),
                                      GetParam().shape);
    plan.training.data.augment = GetParam().augment;
    return plan;
  }
};

// Shares change at the start, in the middle of an epoch and between two; some give a rank nothing. The last batch is
// short, and has empty parts.
TEST_P(DeviceBatchesOf, AreThoseOfTheLoader) {
  constexpr std::int64_t kCount = 43, kBatch = 8, kBatches = 6;
  const std::vector<Weights> shares{{6, 1, 1}, {0, 8, 0}, {1, 3, 4}, {1, 1, 1}};
  Plan plan = plan_over(kCount, kBatch, {1, 1, 1});
  plan.training.train.accumulate = 3;
  const SmallDataset data(kCount, plan.dataset.sample_bytes());
  LateHost host;
  for (const LateOptions& late : kLate)
    for (int rank = 0; rank < 3; ++rank) {
      LateDevice device(host.sums, late);
      const auto expected = make_loader(plan, data.source(), rank);
      const auto batches = make_device_batches(plan, data.source(), rank, device, host.watchdog);
      ASSERT_EQ(batches->batches_per_epoch(), kBatches);
      std::vector<SeenBatch> seen, oracle;
      std::size_t used = 0;
      const auto change_shares = [&] {
        for (BatchSource* source : {expected.get(), batches.get()}) source->set_shares(shares[used]);
        ++used;
      };
      for (const int epoch : {1, 2}) {
        change_shares();
        for (BatchSource* source : {expected.get(), batches.get()}) source->start_epoch(epoch);
        for (int b = 0; b < kBatches; ++b) {
          if (b == 3) change_shares();
          oracle.push_back(seen_on_host(expected->next()));
          seen.push_back(step_on(device, batches->next()));
        }
      }
      device.finish_compute();
      for (std::size_t b = 0; b < seen.size(); ++b)
        ASSERT_TRUE(seen[b].equals(oracle[b])) << "batch " << b << " of rank " << rank << "\n"
                                               << seen[b].inputs << oracle[b].inputs;
      EXPECT_TRUE(device.hazards().empty());
    }
}

TEST_P(DeviceBatchesOf, LieAtTheSamePlaceAndTakeNoMemoryAStep) {
  const Plan plan = plan_over(43, 8, {1});
  const SmallDataset data(43, plan.dataset.sample_bytes());
  LateHost host;
  LateDevice device(host.sums, {});
  WatchedDevice watched(device);
  const auto batches = make_device_batches(plan, data.source(), 0, watched, host.watchdog);
  const int made = watched.memories;
  std::set<const void*> inputs, targets;
  for (const int epoch : {1, 2}) {
    batches->start_epoch(epoch);
    for (std::int64_t b = 0; b < batches->batches_per_epoch(); ++b) {
      const Batch& batch = batches->next();
      inputs.insert(batch.inputs.const_data_ptr());
      targets.insert(batch.targets.const_data_ptr());
    }
  }
  EXPECT_EQ(watched.memories, made);
  EXPECT_EQ(inputs.size(), 1U);
  EXPECT_EQ(targets.size(), 1U);
}

TEST_P(DeviceBatchesOf, TheTestSetAreThoseOfTheCpu) {
  Plan plan = plan_over(103, 30, {1, 1, 1});
  const SmallDataset data(103, plan.dataset.sample_bytes());
  LateHost host;
  for (const LateOptions& late : kLate)
    for (int rank = 0; rank < 3; ++rank) {
      LateDevice device(host.sums, late);
      const auto expected = make_evaluation_source(plan, data.source(), rank);
      const auto batches = make_device_evaluation(plan, data.source(), rank, device, host.watchdog);
      for (const Weights& shares : {Weights{1, 1, 1}, Weights{100, 1, 2}, Weights{0, 0, 1}}) {
        for (EvaluationSource* source : {expected.get(), batches.get()}) source->set_shares(shares);
        ASSERT_EQ(batches->batches(), expected->batches());
        std::vector<SeenBatch> seen, oracle;
        for (std::int64_t b = 0; b < expected->batches(); ++b) {
          oracle.push_back(seen_on_host(expected->batch(b)));
          seen.push_back(step_on(device, batches->batch(b)));
        }
        device.finish_compute();
        for (std::size_t b = 0; b < seen.size(); ++b) ASSERT_TRUE(seen[b].equals(oracle[b])) << "batch " << b;
      }
      EXPECT_TRUE(device.hazards().empty());
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, DeviceBatchesOf,
                         testing::Values(Kind{"Mnist", {1, 28, 28}}, Kind{"MnistCropped", {1, 28, 28}, {"crop"}},
                                         Kind{"CifarAugmented", {3, 32, 32}, {"crop", "flip"}},
                                         Kind{"CifarFlipped", {3, 32, 32}, {"flip"}}, Kind{"CifarPlain", {3, 32, 32}},
                                         Kind{"CifarFp64", {3, 32, 32}, {"crop", "flip"}, Precision::kFp64},
                                         Kind{"OddFp64", {3, 5, 7}, {}, Precision::kFp64},
                                         Kind{"OddBf16", {2, 9, 11}, {"crop", "flip"}, Precision::kBf16},
                                         Kind{"OneColumn", {1, 3, 1}, {"crop", "flip"}},
                                         Kind{"OnePixel", {3, 1, 1}, {"crop", "flip"}},
                                         Kind{"FourChannels", {4, 9, 2}, {"crop", "flip"}}, Kind{"Text", {13}}),
                         [](const auto& tested) { return tested.param.name; });

/// Small batches of one rank on a device of its own, and a thread that gathers them.
class DeviceBatches : public testing::Test {
 protected:
  static constexpr std::int64_t kBatch = 4, kPart = 2;  // of all ranks, of this one

  void open(const LateOptions& late = {}, Watchdog* watchdog = nullptr, BeforeBatch before = {}) {
    batches_.reset();
    asked_ = 0;
    device_.emplace(host_.sums, late);
    watched_.emplace(*device_);
    batches_ = make_device_batches(plan_, std::make_unique<CountedSamples>(data_.source(), asked_), 0, *watched_,
                                   watchdog == nullptr ? host_.watchdog : *watchdog, std::move(before));
  }

  /// Takes batches of a new epoch, the last of them when another is already gathered, until that one was copied ahead:
  /// it depends on when the loader's thread runs.
  void take_with_one_ahead(int count) {
    EXPECT_TRUE(test::wait_until([&] {
      const int copied = watched_->batches_copied;
      const std::int64_t asked = asked_;
      batches_->start_epoch(1);
      for (int b = 0; b < count; ++b) {
        test::wait_until([&] { return asked_ >= asked + kPart * (b + 2); });
        finish_copies();
        batches_->next();
      }
      return watched_->batches_copied == copied + count + 1;
    }));
  }
  void finish_copies() {
    EXPECT_TRUE(test::wait_until([&] { return !watched_->copied || device_->is_complete(*watched_->copied); }));
  }

  const SmallDataset data_{64};
  const Plan plan_ = test::small_plan(64, kBatch, {1, 1});
  LateHost host_;
  std::atomic<std::int64_t> asked_{0};
  std::optional<LateDevice> device_;
  std::optional<WatchedDevice> watched_;
  std::unique_ptr<BatchSource> batches_;
};

TEST_F(DeviceBatches, AreCopiedOneAheadAndTakenBackWhenSharesChange) {
  const auto expected = make_loader(plan_, data_.source(), 0);
  for (const int taken : {1, 2, 3, 5}) {
    open();
    take_with_one_ahead(taken);
    expected->start_epoch(1);
    for (int b = 0; b < taken; ++b) expected->next();
    for (BatchSource* source : {expected.get(), batches_.get()}) source->set_shares(Weights{3, 1});
    std::vector<SeenBatch> seen, oracle;
    for (std::int64_t b = taken; b < batches_->batches_per_epoch(); ++b) {
      oracle.push_back(seen_on_host(expected->next()));
      seen.push_back(step_on(*device_, batches_->next()));
    }
    device_->finish_compute();
    for (std::size_t b = 0; b < seen.size(); ++b) EXPECT_TRUE(seen[b].equals(oracle[b])) << "batch " << b + taken;
    EXPECT_TRUE(device_->hazards().empty());
    for (BatchSource* source : {expected.get(), batches_.get()}) source->set_shares(Weights{1, 1});
  }
}

TEST_F(DeviceBatches, KeepTheBatchInHandWhenSharesChange) {
  open();
  batches_->start_epoch(1);
  const auto expected = make_loader(plan_, data_.source(), 0);
  expected->start_epoch(1);
  const Batch& batch = batches_->next();
  batches_->set_shares(Weights{1, 0});  // twice the samples: all memory is made anew
  const SeenBatch seen = step_on(*device_, batch);
  device_->finish_compute();
  EXPECT_TRUE(seen.equals(seen_on_host(expected->next())));
}

TEST_F(DeviceBatches, GoOnWithoutABatchThatIsStillBeingMade) {
  std::atomic<bool> go_on{false};
  open({}, nullptr, [&](std::int64_t batch) {
    if (batch == 1) test::wait_until([&] { return go_on.load(); });
  });
  batches_->start_epoch(1);
  EXPECT_EQ(batches_->next().samples.size(), 2U);
  EXPECT_FALSE(go_on);
  go_on = true;
  EXPECT_EQ(batches_->next().samples.size(), 2U);
}

TEST_F(DeviceBatches, RethrowWhatTheProducerThrewAfterTheBatchesBefore) {
  for (const LateOptions& late : kLate) {
    open(late, nullptr, [](std::int64_t batch) {
      if (batch == 2) throw DataError("a damaged sample");
    });
    batches_->start_epoch(1);
    EXPECT_NO_THROW(batches_->next());
    EXPECT_NO_THROW(batches_->next());
    EXPECT_THROW(batches_->next(), DataError);
    EXPECT_THROW(batches_->next(), DataError) << "again and again, never a hang";
  }
}

TEST_F(DeviceBatches, MayBeDestroyedAtAnyMoment) {
  for (const LateOptions& late : kLate)
    for (int taken = -1; taken < 8; ++taken) {
      open(late);
      if (taken < 0) continue;  // never started
      batches_->start_epoch(1);
      for (int i = 0; i < taken; ++i) batches_->next();
    }
  batches_.reset();
}

TEST_F(DeviceBatches, MayBeDestroyedWithADeviceThatHasFailed) {
  open({.late_copy = true});
  batches_->start_epoch(1);
  batches_->next();
  device_->abort();
  EXPECT_THROW(batches_->next(), CommError);
  EXPECT_NO_THROW(batches_.reset());
}

TEST_F(DeviceBatches, GiveMemoryBackBehindTheCopiesIntoIt) {
  open({.late_copy = true});
  take_with_one_ahead(2);
  batches_.reset();
  device_->finish_compute();
  EXPECT_TRUE(device_->is_complete(*watched_->copied)) << "compute, which uses the memory next, has waited";
}

// CUDA launches on the calling thread, which evaluates in inference mode, and then trains in the same memory.
TEST_F(DeviceBatches, MayBeTakenInInferenceModeAndOutsideOfIt) {
  class OnTheCallingThread final : public test::PassingDevice {
   public:
    using PassingDevice::PassingDevice;
    void launch(Stream, std::function<void()> work) override { work(); }
    void copy(Stream, const at::Tensor& to, const at::Tensor& from) override {
      const c10::NoGradGuard no_grad;
      to.copy_(from);
    }
  };
  Plan plan = test::plan_with_shape(plan_, {3, 9, 8});
  plan.training.data.augment = {"crop", "flip"};
  const SmallDataset data(64, plan.dataset.sample_bytes());
  LateDevice late(host_.sums, {});
  OnTheCallingThread device(late);
  const auto expected = make_loader(plan, data.source(), 0);
  const auto expected_test = make_evaluation_source(plan, data.source(), 0);
  const auto batches = make_device_batches(plan, data.source(), 0, device, host_.watchdog);
  const auto evaluation = make_device_evaluation(plan, data.source(), 0, device, host_.watchdog);
  for (BatchSource* source : {expected.get(), batches.get()}) source->start_epoch(1);
  const auto expect_equal = [](const Batch& found, const Batch& oracle) {
    EXPECT_TRUE(seen_on_host(found).equals(seen_on_host(oracle)));
  };
  for (std::int64_t b = 0; b < 4; ++b) {
    const c10::InferenceMode inference(b % 2 == 0);
    expect_equal(batches->next(), expected->next());
    expect_equal(evaluation->batch(b), expected_test->batch(b));
  }
}

TEST_F(DeviceBatches, EndAWaitForACopyAtTheDeadline) {
  class StandingStill final : public test::PassingDevice {
   public:
    using PassingDevice::PassingDevice;
    bool is_complete(Event) override { return false; }
  };
  Watchdog watchdog(std::chrono::milliseconds(200), [](const std::string&) {});
  LateDevice device(host_.sums, {});
  StandingStill still(device);
  const auto batches = make_device_batches(plan_, data_.source(), 0, still, watchdog);
  batches->start_epoch(1);
  for (int slot = 0; slot < 2; ++slot) batches->next();
  try {
    batches->next();  // would be copied behind the first, and allows the loader's thread to fill its buffer again
    ADD_FAILURE() << "went on";
  } catch (const CommError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kDeadline);
    EXPECT_THAT(error.what(), testing::HasSubstr("in copy of a batch"));
  }
}

}  // namespace
}  // namespace regatta
