#pragma once
// Resizing with Pillow's bilinear filter, bit for bit: what torchvision's Resize does to a PIL image.

#include <cstdint>
#include <vector>

#include "jobs/image_decoder.hpp"

namespace regatta {

/// Keeps its weights while sizes stay the same; one thread at a time.
class Resizer {
 public:
  /// `from` and `to` are (height, width, 3) uint8 of these sizes, each at least 1 x 1. Equal sizes give a copy.
  void resize(const std::uint8_t* from, ImageSize from_size, ImageSize to_size, std::uint8_t* to);

 private:
  /// Output i is the sum over k of weights[i * taps + k] x input[first[i] + k], k < count[i].
  struct Filter {
    std::int64_t inputs = 0, outputs = 0, taps = 0;
    std::vector<std::int64_t> first, count;
    std::vector<std::int32_t> weights;  // fixed point, see kWeightBits
  };
  void across(const std::uint8_t* from, ImageSize size, std::int64_t width, std::uint8_t* to);
  void down(const std::uint8_t* from, ImageSize size, std::int64_t height, std::uint8_t* to);
  static void prepare(Filter& filter, std::int64_t inputs, std::int64_t outputs);

  Filter across_, down_;
  std::vector<std::uint8_t> between_;  // (from height, to width, 3)
  std::vector<std::int32_t> sums_;     // one row
};

}  // namespace regatta
