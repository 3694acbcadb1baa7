#pragma once
// Mean and deviation from exact integer sums, so that every rank, thread and precision normalises by the same numbers.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace regatta {

struct PixelSums {
  std::uint64_t count = 0, sum = 0, squares = 0;  // squares: 255^2 x 2.8e14 pixels fit

  void add(std::span<const std::uint8_t> pixels);
  void add(const PixelSums& more);
  /// Of the pixels scaled to [0, 1]. Needs at least one pixel.
  double mean() const;
  /// Of the whole population, not of a sample; 1 where all pixels are equal, so that dividing by it is safe.
  double deviation() const;
};

/// `pixels` are (H, W, C), `sums` has C entries.
void add_by_channel(std::span<PixelSums> sums, std::span<const std::uint8_t> pixels);
/// Means and deviations, one a channel.
std::pair<std::vector<double>, std::vector<double>> statistics_of(std::span<const PixelSums> sums);

}  // namespace regatta
