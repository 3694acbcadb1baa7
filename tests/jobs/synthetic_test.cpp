#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "common/error.hpp"
#include "jobs/dataset_index.hpp"
#include "tests/jobs/decoded.hpp"

namespace regatta {
namespace {

using test::Decoded;

DataSpec synthetic(std::int64_t samples, std::vector<std::int64_t> shape = {1, 28, 28}, std::int64_t classes = 10) {
  DataSpec data;
  data.format = DataFormat::kSynthetic;
  data.synthetic.samples = samples;
  data.synthetic.shape = std::move(shape);
  data.synthetic.classes = classes;
  return data;
}

Decoded decode(const DataSpec& data, std::uint64_t seed, Split split) {
  const DatasetIndex index = index_dataset(data, seed);
  return test::decoded(index, split, seed);
}

TEST(Synthetic, CountsAsDocumented) {
  const DatasetIndex index = index_dataset(synthetic(12'800), 1);
  EXPECT_EQ(index.train_count, 12'800);
  EXPECT_EQ(index.test_count, 1280);
  EXPECT_EQ(index.classes, 10);
  EXPECT_EQ(index.sample_shape, (std::vector<std::int64_t>{1, 28, 28}));
  EXPECT_TRUE(index.files.empty());
  EXPECT_EQ(index_dataset(synthetic(5), 1).test_count, 1);
}

TEST(Synthetic, IsAFunctionOfTheSeed) {
  const DataSpec data = synthetic(50, {3, 9, 5}, 4);
  const Decoded once = decode(data, 7, Split::kTrain);
  EXPECT_EQ(decode(data, 7, Split::kTrain).pixels, once.pixels);
  EXPECT_NE(decode(data, 8, Split::kTrain).pixels, once.pixels);
  EXPECT_NE(index_dataset(data, 7).key, index_dataset(data, 8).key);
  EXPECT_EQ(index_dataset(data, 7), index_dataset(data, 7));
  // A longer set begins with the shorter one: samples depend on nothing but their number.
  const Decoded longer = decode(synthetic(80, {3, 9, 5}, 4), 7, Split::kTrain);
  EXPECT_TRUE(std::equal(once.pixels.begin(), once.pixels.end(), longer.pixels.begin()));
  // Test samples are no training samples.
  const Decoded test = decode(data, 7, Split::kTest);
  EXPECT_FALSE(std::equal(test.pixels.begin(), test.pixels.end(), once.pixels.begin()));
}

TEST(Synthetic, StatisticsAreThoseOfTheDecodedPixels) {
  const DataSpec data = synthetic(200, {2, 8, 8}, 3);
  const Decoded train = decode(data, 1, Split::kTrain);
  const DatasetIndex index = index_dataset(data, 1);
  ASSERT_EQ(index.mean.size(), 2U);
  for (std::size_t channel = 0; channel < 2; ++channel) {
    long double sum = 0, squares = 0;
    const auto count = static_cast<long double>(train.pixels.size() / 2);
    for (std::size_t i = channel; i < train.pixels.size(); i += 2) sum += train.pixels[i] / 255.0L;
    const long double mean = sum / count;
    for (std::size_t i = channel; i < train.pixels.size(); i += 2)
      squares += (train.pixels[i] / 255.0L - mean) * (train.pixels[i] / 255.0L - mean);
    EXPECT_NEAR(index.mean[channel], static_cast<double>(mean), 1e-14);
    EXPECT_NEAR(index.deviation[channel], static_cast<double>(std::sqrt(squares / count)), 1e-14);
  }
}

TEST(Synthetic, CanBeLearned) {
  // The plainest learner there is: the class whose mean training image is nearest. Chance is 10 %.
  const DataSpec data = synthetic(2000);
  const Decoded train = decode(data, 1, Split::kTrain), test = decode(data, 1, Split::kTest);
  constexpr std::size_t kPixels = 28 * 28;
  std::vector<std::vector<double>> means(10, std::vector<double>(kPixels, 0));
  for (std::size_t i = 0; i < train.labels.size(); ++i)
    for (std::size_t p = 0; p < kPixels; ++p)
      means.at(static_cast<std::size_t>(train.labels[i]))[p] += train.pixels[i * kPixels + p] / 200.0;
  int right = 0;
  for (std::size_t i = 0; i < test.labels.size(); ++i) {
    std::int64_t nearest = -1;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t label = 0; label < means.size(); ++label) {
      double distance = 0;
      for (std::size_t p = 0; p < kPixels; ++p) {
        const double difference = test.pixels[i * kPixels + p] - means[label][p];
        distance += difference * difference;
      }
      if (distance < least) {
        least = distance;
        nearest = static_cast<std::int64_t>(label);
      }
    }
    right += nearest == test.labels[i];
  }
  EXPECT_GE(right, 190) << "of 200";
}

TEST(Synthetic, ClassesAreBalancedAndShuffledByTheOrderOnly) {
  const Decoded train = decode(synthetic(100), 1, Split::kTrain);
  std::vector<int> of_class(10, 0);
  for (const std::int64_t label : train.labels) ++of_class.at(static_cast<std::size_t>(label));
  EXPECT_EQ(of_class, std::vector<int>(10, 10));
}

TEST(Synthetic, StatisticsOfALargeSetAreThoseOfItsFirstSamples) {
  // 64 MiB are 1024 samples of 64 KiB; a longer set begins with the shorter one.
  const DatasetIndex whole = index_dataset(synthetic(1024, {1, 256, 256}), 1);
  const DatasetIndex longer = index_dataset(synthetic(5000, {1, 256, 256}), 1);
  const DatasetIndex shorter = index_dataset(synthetic(1023, {1, 256, 256}), 1);
  EXPECT_EQ(longer.mean, whole.mean);
  EXPECT_EQ(longer.deviation, whole.deviation);
  EXPECT_NE(shorter.mean, whole.mean);
}

TEST(Synthetic, SizesThatOverflowAreRefused) {
  EXPECT_THROW(index_dataset(synthetic(INT64_MAX / 2, {3, 224, 224}), 1), DataError);
}

}  // namespace
}  // namespace regatta
