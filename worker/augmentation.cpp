#include "worker/augmentation.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/error.hpp"
#include "common/splitmix.hpp"

namespace regatta {

namespace {

/// Keeps these draws apart from what else is made of the seed (orders, weights, synthetic data).
constexpr std::uint64_t kAugmentationStream = 0xa0761d6478bd642fU;

/// In [-most, most], from 32 random bits: uneven by less than (2 most + 1) / 2^32.
std::int64_t symmetric(std::uint64_t bits, std::int64_t most) {
  const auto values = static_cast<std::uint64_t>(2 * most + 1);
  return static_cast<std::int64_t>((bits & 0xffffffffU) * values >> 32) - most;
}

/// A fixed number of channels lets the compiler unroll.
template <int kChannels>
void mirror(const std::uint8_t* from, std::int64_t width, std::uint8_t* to) {
  from += (width - 1) * kChannels;
  for (std::int64_t x = 0; x < width; ++x, from -= kChannels, to += kChannels)
    for (int c = 0; c < kChannels; ++c) to[c] = from[c];
}

}  // namespace

Augmentation::Augmentation(const std::vector<std::string>& words, const DatasetIndex& index, std::uint64_t seed)
    : key_(mix64(mix64(seed + kGoldenStride) ^ kAugmentationStream)) {
  if (index.is_text()) {
    REGATTA_ENSURE(words.empty(), "text is not augmented");
    channels_ = height_ = width_ = 0;
    return;
  }
  channels_ = index.sample_shape[0];
  height_ = index.sample_shape[1];
  width_ = index.sample_shape[2];
  for (const auto& word : words) {
    REGATTA_ENSURE(word == "crop" || word == "flip", "a word of data.augment that nobody checked: " + word);
    (word == "crop" ? crop_ : flip_) = true;
  }
  moved_.resize(static_cast<std::size_t>(width_ * channels_));
  mirrored_.resize(moved_.size());
}

Draw Augmentation::draw(std::int64_t epoch, std::int64_t sample) const {
  const std::uint64_t of_epoch = mix64(key_ + static_cast<std::uint64_t>(epoch) * kGoldenStride);
  const std::uint64_t place = mix64(of_epoch + static_cast<std::uint64_t>(sample) * kGoldenStride);
  Draw draw;
  if (crop_) {
    draw.down = symmetric(place, padding_of(height_));
    draw.right = symmetric(place >> 32, padding_of(width_));
  }
  if (flip_) draw.mirrored = mix64(place) >> 63 != 0;
  return draw;
}

const std::uint8_t* Augmentation::row(const std::uint8_t* image, std::int64_t y, const Draw& draw) {
  const std::int64_t line = width_ * channels_;
  const std::int64_t from_y = y + draw.down;
  const std::uint8_t* row = image + from_y * line;
  if (from_y < 0 || from_y >= height_ || std::abs(draw.right) >= width_) {
    std::fill(moved_.begin(), moved_.end(), std::uint8_t{0});
    return moved_.data();
  }
  if (draw.right != 0) {
    const std::int64_t kept = line - std::abs(draw.right) * channels_;
    const std::int64_t skipped = std::max<std::int64_t>(draw.right, 0) * channels_;
    const std::int64_t before = std::max<std::int64_t>(-draw.right, 0) * channels_;
    std::uint8_t* const to = moved_.data();
    std::memset(to, 0, static_cast<std::size_t>(before));
    std::memcpy(to + before, row + skipped, static_cast<std::size_t>(kept));
    std::memset(to + before + kept, 0, static_cast<std::size_t>(line - before - kept));
    row = to;
  }
  if (!draw.mirrored) return row;
  if (channels_ == 3) {
    mirror<3>(row, width_, mirrored_.data());
  } else if (channels_ == 1) {
    mirror<1>(row, width_, mirrored_.data());
  } else {
    for (std::int64_t x = 0; x < width_; ++x)
      std::memcpy(mirrored_.data() + x * channels_, row + (width_ - 1 - x) * channels_,
                  static_cast<std::size_t>(channels_));
  }
  return mirrored_.data();
}

}  // namespace regatta
