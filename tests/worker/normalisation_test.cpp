#include "worker/normalisation.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace regatta {
namespace {

DatasetIndex pixels(std::int64_t channels) {
  DatasetIndex index;
  index.sample_shape = {channels, 1, 1};
  for (std::int64_t c = 0; c < channels; ++c) {
    index.mean.push_back(0.1 + 0.07 * static_cast<double>(c));
    index.deviation.push_back(0.2 + 0.013 * static_cast<double>(c));
  }
  return index;
}

double exact(const DatasetIndex& index, std::uint8_t x, std::int64_t c) {
  return (x / 255.0 - index.mean[static_cast<std::size_t>(c)]) / index.deviation[static_cast<std::size_t>(c)];
}

TEST(Normalisation, IsTheFormulaByChannel) {
  std::vector<std::uint8_t> bytes(768);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  for (const std::int64_t channels : {1, 2, 3, 4, 6}) {
    const DatasetIndex index = pixels(channels);
    const Normalisation normalisation(index);
    const auto count = static_cast<std::int64_t>(bytes.size()) / channels * channels, plane = count / channels;
    std::vector<float> single(bytes.size());
    std::vector<double> planar(bytes.size());
    normalisation.apply(bytes.data(), count, single.data());
    normalisation.apply_planar(bytes.data(), plane, plane, planar.data());
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t c = i % channels;
      const double expected = exact(index, bytes[static_cast<std::size_t>(i)], c);
      EXPECT_NEAR(single[static_cast<std::size_t>(i)], expected, 5e-7);
      EXPECT_EQ(planar[static_cast<std::size_t>(c * plane + i / channels)], expected);
    }
  }
}

TEST(Normalisation, HasTheSameBitsWithoutVectors) {
  if (!runs_here(NormalisationKernel::kAvx2)) GTEST_SKIP() << "this processor has no AVX2";
  std::vector<std::uint8_t> bytes(400);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 89 + i / 7);
  for (std::int64_t channels = 1; channels <= 17; ++channels) {
    const Normalisation table(pixels(channels), NormalisationKernel::kTable);
    const Normalisation vectors(pixels(channels), NormalisationKernel::kAvx2);
    for (std::int64_t count = 0; count < 200; ++count) {
      std::vector<float> expected(200, -7), found(200, -7);  // what lies behind must stay
      table.apply(bytes.data() + count, count, expected.data());
      vectors.apply(bytes.data() + count, count, found.data());
      ASSERT_EQ(found, expected) << channels << " channels, " << count << " values";
    }
  }
}

}  // namespace
}  // namespace regatta
