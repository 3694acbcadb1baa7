// By hand; PyTorch's rates are in tests/worker/training_oracle_test.cpp.

#include "jobs/schedule.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace regatta {
namespace {

TEST(Schedule, StaysWhereItEnded) {
  const ScheduleSpec cosine{.kind = ScheduleKind::kCosine, .min_lr = 0.01};
  EXPECT_DOUBLE_EQ(learning_rate(cosine, 0.1, 20, {5, 4}), 0.01);
  EXPECT_DOUBLE_EQ(learning_rate(cosine, 0.1, 1000, {5, 4}), 0.01);
  const ScheduleSpec one_cycle{.kind = ScheduleKind::kOneCycle, .max_lr = 1.0};
  EXPECT_DOUBLE_EQ(learning_rate(one_cycle, 0.1, 19, {5, 4}), 0.1 / 1e4);
  EXPECT_DOUBLE_EQ(learning_rate(one_cycle, 0.1, 1000, {5, 4}), 0.1 / 1e4);
}

TEST(Schedule, AWarmUpMayBeLongerThanTheTraining) {
  const ScheduleSpec cosine{.kind = ScheduleKind::kCosine, .warmup_steps = 100, .min_lr = 0.0};
  EXPECT_DOUBLE_EQ(learning_rate(cosine, 0.1, 0, {5, 4}), 0.001);
  EXPECT_DOUBLE_EQ(learning_rate(cosine, 0.1, 19, {5, 4}), 0.02);
  const ScheduleSpec one_cycle{.kind = ScheduleKind::kOneCycle, .warmup_steps = 100, .max_lr = 1.0};
  EXPECT_DOUBLE_EQ(learning_rate(one_cycle, 0.1, 0, {5, 4}), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(one_cycle, 0.1, 19, {5, 4}), 1.0);
}

TEST(Schedule, VeryShortTrainings) {
  const ScheduleSpec one_cycle{.kind = ScheduleKind::kOneCycle, .max_lr = 1.0};
  for (std::int64_t epochs = 1; epochs <= 4; ++epochs)
    for (std::int64_t step = 0; step < epochs; ++step) {
      const double rate = learning_rate(one_cycle, 0.1, step, {1, epochs});
      EXPECT_GT(rate, 0) << step << " of " << epochs;
      EXPECT_LE(rate, 1) << step << " of " << epochs;
    }
}

TEST(Schedule, WarmsUpBesideDecayByEpochs) {
  const ScheduleSpec step{.kind = ScheduleKind::kStep, .warmup_steps = 4, .step_epochs = 1, .gamma = 0.5};
  EXPECT_DOUBLE_EQ(learning_rate(step, 0.8, 1, {2, {}}), 0.8 * 2 / 4);        // epoch 0
  EXPECT_DOUBLE_EQ(learning_rate(step, 0.8, 2, {2, {}}), 0.8 * 0.5 * 3 / 4);  // epoch 1
  EXPECT_DOUBLE_EQ(learning_rate(step, 0.8, 7, {2, {}}), 0.8 * 0.125);
}

TEST(Schedule, NeedsItsEnd) {
  EXPECT_THROW(learning_rate({.kind = ScheduleKind::kCosine}, 0.1, 0, {5, {}}), std::logic_error);
}

}  // namespace
}  // namespace regatta
