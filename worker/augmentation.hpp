#pragma once
// Random crop and flip of training images, drawn from (seed, epoch, sample) alone: the same on any number of ranks, and
// after a resumption. Torch-free.

#include <cstdint>
#include <vector>

#include "jobs/dataset_index.hpp"

namespace regatta {

/// What happens to one image: pixel (y, x) of the result is pixel (y + down, x + right) of the original, zero outside
/// of it; mirrored after that.
struct Draw {
  std::int64_t down = 0, right = 0;
  bool mirrored = false;
  bool operator==(const Draw&) const = default;
};

/// As torchvision's RandomCrop((H, W), padding) with an eighth of the size on each side (at least a pixel; 4 of 32),
/// then RandomHorizontalFlip. Pads with zeros before anything is normalised. One thread at a time: it keeps a row.
class Augmentation {
 public:
  /// `words` as in data.augment: crop, flip; none for a test set. Images (C, H, W), stored (H, W, C).
  Augmentation(const std::vector<std::string>& words, const DatasetIndex& index, std::uint64_t seed);

  /// Does it ever change an image?
  bool active() const { return crop_ || flip_; }
  /// Uniform over all crops, of at most so many pixels, and both directions.
  Draw draw(std::int64_t epoch, std::int64_t sample) const;
  std::int64_t most_down() const { return crop_ ? padding_of(height_) : 0; }
  std::int64_t most_right() const { return crop_ ? padding_of(width_) : 0; }
  /// Row `y` of the result, W x C bytes; valid until the next call, or part of `image`.
  const std::uint8_t* row(const std::uint8_t* image, std::int64_t y, const Draw& draw);

 private:
  static std::int64_t padding_of(std::int64_t size) { return size / 8 > 1 ? size / 8 : 1; }

  bool crop_ = false, flip_ = false;
  std::uint64_t key_;
  std::int64_t channels_, height_, width_;
  std::vector<std::uint8_t> moved_, mirrored_;  // a row each
};

}  // namespace regatta
