#include "worker/batch_buffer.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>

#include "common/error.hpp"
#include "tests/worker/worker_samples.hpp"

namespace regatta {
namespace {

using Shape = std::vector<std::int64_t>;

Plan image_plan(const Shape& shape, Precision precision, std::vector<std::string> augment = {}) {
  Plan plan = test::plan_with_shape(test::small_plan(20, 8, {1}, precision), shape);
  plan.training.data.augment = std::move(augment);
  return plan;
}

BatchContent content_of(std::vector<std::int64_t> samples, int epoch = 1) {
  const auto count = static_cast<std::int64_t>(samples.size());
  return {.epoch = epoch, .samples = std::move(samples), .parts = {count}, .global_samples = count};
}

/// Pixel (c, y, x) of a sample, augmented as drawn, normalised by the formula in double.
double expected_value(const Plan& plan, std::int64_t sample, const Draw& draw, std::int64_t c, std::int64_t y,
                      std::int64_t x) {
  const DatasetIndex& index = plan.dataset;
  const std::int64_t channels = index.sample_shape[0], height = index.sample_shape[1], width = index.sample_shape[2];
  const std::int64_t from_y = y + draw.down, from_x = (draw.mirrored ? width - 1 - x : x) + draw.right;
  const bool inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
  const double byte = inside ? test::SmallDataset::pixel(sample, (from_y * width + from_x) * channels + c) : 0;
  return (byte / 255 - index.mean[static_cast<std::size_t>(c)]) / index.deviation[static_cast<std::size_t>(c)];
}

struct ImageCase {
  Shape shape;
  Precision precision;
};
class Images : public testing::TestWithParam<ImageCase> {};

TEST_P(Images, AreAugmentedBeforeTheyAreNormalised) {
  const auto& [shape, precision] = GetParam();
  const Plan plan = image_plan(shape, precision, {"crop", "flip"});
  const test::SmallDataset data(20, plan.dataset.sample_bytes());
  const auto source = data.source();
  for (const Split split : {Split::kTrain, Split::kTest}) {
    InputTransform transform(plan, split);
    EXPECT_EQ(transform.augmentation.active(), split == Split::kTrain);
    BatchBuffer buffer(plan, 8);
    for (const int epoch : {1, 2}) {
      const BatchContent content = content_of({3, 19, 0, 7, 7, 12}, epoch);
      buffer.fill(*source, transform, content);
      const Batch& batch = buffer.batch();
      ASSERT_EQ(batch.inputs.sizes(), (Shape{6, shape[0], shape[1], shape[2]}));
      const at::Tensor plain = batch.inputs.to(at::kDouble).contiguous();
      const double* value = plain.const_data_ptr<double>();
      for (std::size_t i = 0; i < content.samples.size(); ++i) {
        const std::int64_t sample = content.samples[i];
        const Draw draw = transform.augmentation.draw(epoch, sample);
        EXPECT_EQ(batch.targets[static_cast<std::int64_t>(i)].item<std::int64_t>(), sample % 10);
        for (std::int64_t c = 0; c < shape[0]; ++c)
          for (std::int64_t y = 0; y < shape[1]; ++y)
            for (std::int64_t x = 0; x < shape[2]; ++x)
              ASSERT_NEAR(*value++, expected_value(plan, sample, draw, c, y, x),
                          precision == Precision::kFp64 ? 0 : 1e-6);
      }
    }
  }
}

TEST_P(Images, LieInMemoryAsTheModelsReadThemFastest) {
  const auto& [shape, precision] = GetParam();
  const Plan plan = image_plan(shape, precision);
  const test::SmallDataset data(20, plan.dataset.sample_bytes());
  const auto source = data.source();
  InputTransform transform(plan, Split::kTrain);
  BatchBuffer buffer(plan, 8);
  buffer.fill(*source, transform, content_of({1, 2, 3}));
  const at::Tensor inputs = buffer.batch().inputs;
  const bool plain = precision == Precision::kFp64 || shape[0] == 1;
  EXPECT_TRUE(inputs.is_contiguous(plain ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(inputs.const_data_ptr()) % 64, 0U);
  buffer.fill(*source, transform, content_of({4, 5, 6, 7, 8}));
  EXPECT_EQ(buffer.batch().inputs.const_data_ptr(), inputs.const_data_ptr()) << "the same memory again";
  buffer.fill(*source, transform, content_of({}));
  EXPECT_EQ(buffer.batch().inputs.sizes(), (Shape{0, shape[0], shape[1], shape[2]}));
  EXPECT_EQ(buffer.batch().targets.numel(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Images,
    testing::Values(ImageCase{{1, 28, 28}, Precision::kFp32}, ImageCase{{1, 28, 28}, Precision::kFp64},
                    ImageCase{{3, 32, 32}, Precision::kFp32}, ImageCase{{3, 32, 32}, Precision::kFp64},
                    ImageCase{{3, 5, 7}, Precision::kFp32}, ImageCase{{3, 5, 7}, Precision::kFp64},
                    ImageCase{{1, 3, 1}, Precision::kFp32}, ImageCase{{2, 9, 11}, Precision::kBf16},
                    ImageCase{{3, 1, 1}, Precision::kFp32}));

TEST(BatchBuffer, PairsTextWithItsSuccessors) {
  constexpr std::int64_t kLength = 13;
  const Plan plan = test::plan_with_shape(test::small_plan(20, 8, {1}), {kLength});
  const test::SmallDataset data(20, kLength + 1);
  const auto source = data.source();
  InputTransform transform(plan, Split::kTrain);
  BatchBuffer buffer(plan, 4);
  buffer.fill(*source, transform, content_of({5, 17, 2}));
  const Batch& batch = buffer.batch();
  ASSERT_EQ(batch.inputs.sizes(), (Shape{3, kLength}));
  ASSERT_EQ(batch.targets.sizes(), (Shape{3, kLength}));
  ASSERT_EQ(batch.inputs.scalar_type(), at::kLong);
  for (std::int64_t i = 0; i < 3; ++i)
    for (std::int64_t j = 0; j < kLength; ++j) {
      const std::int64_t sample = batch.samples[static_cast<std::size_t>(i)];
      EXPECT_EQ(batch.inputs[i][j].item<std::int64_t>(), test::SmallDataset::pixel(sample, j));
      EXPECT_EQ(batch.targets[i][j].item<std::int64_t>(), test::SmallDataset::pixel(sample, j + 1));
    }
}

TEST(BatchBuffer, RefusesMoreThanItHolds) {
  const Plan plan = image_plan({1, 2, 3}, Precision::kFp32);
  const test::SmallDataset data(20);
  const auto source = data.source();
  InputTransform transform(plan, Split::kTrain);
  BatchBuffer buffer(plan, 2);
  EXPECT_THROW(buffer.fill(*source, transform, content_of({1, 2, 3})), std::logic_error);
}

}  // namespace
}  // namespace regatta
