#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "tests/jobs/decoded.hpp"

namespace regatta {
namespace {

using test::decoded;

DatasetIndex made_text(std::int64_t samples, std::int64_t length, std::int64_t vocabulary, std::uint64_t seed = 1) {
  DataSpec data;
  data.format = DataFormat::kSynthetic;
  data.synthetic = {.samples = samples, .length = length, .vocabulary = vocabulary};
  return index_dataset(data, seed);
}

TEST(SyntheticText, CountsAsDocumented) {
  const DatasetIndex index = made_text(640, 64, 65);
  EXPECT_EQ(index.train_count, 640);
  EXPECT_EQ(index.test_count, 64);
  EXPECT_EQ(index.classes, 65);
  EXPECT_EQ(index.sample_shape, (std::vector<std::int64_t>{64}));
  EXPECT_EQ(index.alphabet.size(), 65U);
  EXPECT_EQ(index.alphabet.front(), ' ');
  EXPECT_EQ(made_text(5, 8, 256).alphabet.front(), '\0');
  EXPECT_EQ(dataset_index_from_json(to_json(index)), index);
}

TEST(SyntheticText, IsAFunctionOfSeedSplitAndSample) {
  const DatasetIndex index = made_text(50, 16, 30);
  const auto once = decoded(index, Split::kTrain, 7);
  EXPECT_EQ(decoded(index, Split::kTrain, 7), once);
  EXPECT_NE(decoded(index, Split::kTrain, 8).pixels, once.pixels);
  EXPECT_EQ(test::read_backwards(index, Split::kTrain, 7), once);
  const auto test = decoded(index, Split::kTest, 7), longer = decoded(made_text(80, 16, 30), Split::kTrain, 7);
  EXPECT_TRUE(std::equal(once.pixels.begin(), once.pixels.end(), longer.pixels.begin()));
  EXPECT_FALSE(std::equal(test.pixels.begin(), test.pixels.end(), once.pixels.begin()));
}

TEST(SyntheticText, ASymbolSaysMuchAboutTheNextAndNothingAloneDoes) {
  // Entropies from counts: alone near log 20 = 2.996; given the one before it, 1/4 x log 20 and the choice itself:
  // p = 3/4 + 1/80 for the successor, 1/80 for each other: 1.247 nats.
  const DatasetIndex index = made_text(4000, 50, 20);
  const auto train = decoded(index, Split::kTrain);
  std::array<std::array<double, 20>, 20> pairs{};
  std::array<double, 20> single{};
  for (std::size_t sample = 0; sample < 4000; ++sample)
    for (std::size_t i = sample * 51; i < sample * 51 + 50; ++i) {
      ASSERT_LT(train.pixels[i], 20);
      single.at(train.pixels[i]) += 1.0 / 200'000;
      pairs.at(train.pixels[i]).at(train.pixels[i + 1]) += 1.0 / 200'000;
    }
  double alone = 0, given = 0;
  for (std::size_t a = 0; a < 20; ++a) {
    alone -= single.at(a) * std::log(single.at(a));
    for (const double both : pairs.at(a))
      if (both > 0) given -= both * std::log(both / single.at(a));
  }
  EXPECT_NEAR(alone, 2.996, 0.01);
  EXPECT_NEAR(given, 1.247, 0.01);
}

}  // namespace
}  // namespace regatta
