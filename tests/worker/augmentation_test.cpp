// The oracle pads, crops and mirrors a whole image pixel by pixel, as torchvision's RandomCrop and
// RandomHorizontalFlip.

#include "worker/augmentation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace regatta {
namespace {

using Bytes = std::vector<std::uint8_t>;

DatasetIndex images(std::int64_t channels, std::int64_t height, std::int64_t width) {
  DatasetIndex index;
  index.sample_shape = {channels, height, width};
  return index;
}

Bytes numbered(std::int64_t size) {
  Bytes bytes;
  for (std::int64_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(1 + i * 37 % 255));  // never 0
  return bytes;
}

/// The image in a frame of zeros, `padding` on each side; then the window whose corner is (top, left); then mirrored.
Bytes crop_and_mirror(const Bytes& image, const std::vector<std::int64_t>& shape, const Draw& draw) {
  const std::int64_t channels = shape[0], height = shape[1], width = shape[2], padding = std::max(height, width);
  const std::int64_t wide = width + 2 * padding, tall = height + 2 * padding;
  Bytes framed(static_cast<std::size_t>(wide * tall * channels));
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t i = 0; i < width * channels; ++i)
      framed[static_cast<std::size_t>(((y + padding) * wide + padding) * channels + i)] =
          image[static_cast<std::size_t>(y * width * channels + i)];
  Bytes out;
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 0; c < channels; ++c) {
        const std::int64_t from = draw.mirrored ? width - 1 - x : x;
        out.push_back(framed[static_cast<std::size_t>(
            ((y + padding + draw.down) * wide + padding + draw.right + from) * channels + c)]);
      }
  return out;
}

TEST(Augmentation, MovesAndMirrorsAsTheWholeImageWould) {
  for (const auto& [channels, height, width] :
       {std::array<std::int64_t, 3>{1, 1, 1}, {3, 1, 1}, {1, 28, 28}, {3, 5, 7}, {2, 3, 17}, {3, 32, 32}, {4, 9, 2}}) {
    const DatasetIndex index = images(channels, height, width);
    Augmentation augmentation({"crop", "flip"}, index, 1);
    const Bytes image = numbered(channels * height * width);
    const std::int64_t down = std::max<std::int64_t>(1, height / 8), right = std::max<std::int64_t>(1, width / 8);
    for (std::int64_t dy = -down; dy <= down; ++dy)
      for (std::int64_t dx = -right; dx <= right; ++dx)
        for (const bool mirrored : {false, true}) {
          const Draw draw{dy, dx, mirrored};
          Bytes found;
          for (std::int64_t y = 0; y < height; ++y) {
            const std::uint8_t* row = augmentation.row(image.data(), y, draw);
            found.insert(found.end(), row, row + width * channels);
          }
          ASSERT_EQ(found, crop_and_mirror(image, index.sample_shape, draw))
              << channels << " x " << height << " x " << width << ": " << dy << ", " << dx << ", " << mirrored;
        }
  }
}

TEST(Augmentation, DrawsEveryCropAndDirectionEquallyOften) {
  const Augmentation augmentation({"crop", "flip"}, images(3, 32, 32), 3);
  constexpr int kDraws = 200'000;
  std::map<std::pair<std::int64_t, std::int64_t>, double> crops;
  double mirrored = 0;
  for (int sample = 0; sample < kDraws; ++sample) {
    const Draw draw = augmentation.draw(1, sample);
    ++crops[{draw.down, draw.right}];
    mirrored += draw.mirrored ? 1 : 0;
  }
  ASSERT_EQ(crops.size(), 81U) << "padding 4: nine places down, nine across";
  double chi_square = 0;
  for (const auto& [place, count] : crops) {
    EXPECT_LE(std::max(std::abs(place.first), std::abs(place.second)), 4);
    chi_square += (count - kDraws / 81.0) * (count - kDraws / 81.0) / (kDraws / 81.0);
  }
  EXPECT_LT(chi_square, 80 + 5 * std::sqrt(2 * 80.0));  // five deviations of a chi-square with 80 degrees
  EXPECT_NEAR(mirrored / kDraws, 0.5, 5 * 0.5 / std::sqrt(double{kDraws}));
}

TEST(Augmentation, DependsOnSeedEpochAndSampleEach) {
  const DatasetIndex index = images(3, 32, 32);
  const Augmentation one({"crop", "flip"}, index, 1), two({"crop", "flip"}, index, 2);
  int by_seed = 0, by_epoch = 0, by_sample = 0, swapped = 0;
  for (int i = 0; i < 1000; ++i) {
    by_seed += one.draw(1, i) == two.draw(1, i);
    by_epoch += one.draw(1, i) == one.draw(2, i);
    by_sample += one.draw(1, i) == one.draw(1, i + 1);
    swapped += one.draw(1, i + 2) == one.draw(i + 2, 1);
    EXPECT_EQ(one.draw(1, i), Augmentation({"crop", "flip"}, index, 1).draw(1, i));
  }
  for (const int equal : {by_seed, by_epoch, by_sample, swapped}) EXPECT_LT(equal, 30);  // 1000 / 162 by chance
}

// Resumption and equality of ranks across versions rest on these.
TEST(Augmentation, DrawsTheseForEver) {
  const Augmentation augmentation({"crop", "flip"}, images(3, 32, 32), 1);
  const std::vector<Draw> expected{{0, 3, false}, {-1, -4, true},  {0, -4, false},
                                   {-1, 2, true}, {-4, -3, false}, {-3, -1, false}};
  std::vector<Draw> found;
  for (int sample = 0; sample < 6; ++sample) found.push_back(augmentation.draw(1, sample));
  EXPECT_EQ(found, expected);
}

TEST(Augmentation, DoesWhatItIsAskedFor) {
  const DatasetIndex index = images(1, 8, 16);
  const Augmentation none({}, index, 1), crop({"crop"}, index, 1), flip({"flip"}, index, 1);
  EXPECT_FALSE(none.active());
  EXPECT_TRUE(crop.active() && flip.active());
  bool moved = false, mirrored = false;
  for (int sample = 0; sample < 100; ++sample) {
    EXPECT_EQ(none.draw(1, sample), Draw{});
    EXPECT_FALSE(crop.draw(1, sample).mirrored);
    EXPECT_LE(std::abs(crop.draw(1, sample).down), 1);
    EXPECT_LE(std::abs(crop.draw(1, sample).right), 2);
    EXPECT_EQ(flip.draw(1, sample).down, 0);
    EXPECT_EQ(flip.draw(1, sample).right, 0);
    moved |= crop.draw(1, sample).right == 2;
    mirrored |= flip.draw(1, sample).mirrored;
  }
  EXPECT_TRUE(moved && mirrored);
}

}  // namespace
}  // namespace regatta
