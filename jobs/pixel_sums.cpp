#include "jobs/pixel_sums.hpp"

#include <cmath>

#include "common/error.hpp"

namespace regatta {

void PixelSums::add(std::span<const std::uint8_t> pixels) {
  count += pixels.size();
  for (const std::uint64_t pixel : pixels) {
    sum += pixel;
    squares += pixel * pixel;
  }
}

void PixelSums::add(const PixelSums& more) {
  count += more.count;
  sum += more.sum;
  squares += more.squares;
}

double PixelSums::mean() const {
  REGATTA_ENSURE(count > 0, "the mean of no pixels");
  return static_cast<double>(sum) / (255.0 * static_cast<double>(count));
}

double PixelSums::deviation() const {
  REGATTA_ENSURE(count > 0, "the deviation of no pixels");
  // count^2 x variance = count x squares - sum^2, exact in 128 bits: no cancellation.
  __extension__ using Wide = unsigned __int128;
  const Wide scaled = Wide{count} * squares - Wide{sum} * sum;
  if (scaled == 0) return 1;
  return std::sqrt(static_cast<double>(scaled)) / (255.0 * static_cast<double>(count));
}

void add_by_channel(std::span<PixelSums> sums, std::span<const std::uint8_t> pixels) {
  const std::size_t channels = sums.size();
  if (channels == 1) return sums[0].add(pixels);
  for (std::size_t c = 0; c < channels; ++c) {
    std::uint64_t sum = 0, squares = 0;
    for (std::size_t i = c; i < pixels.size(); i += channels) {
      const std::uint64_t pixel = pixels[i];
      sum += pixel;
      squares += pixel * pixel;
    }
    sums[c].count += pixels.size() / channels;
    sums[c].sum += sum;
    sums[c].squares += squares;
  }
}

std::pair<std::vector<double>, std::vector<double>> statistics_of(std::span<const PixelSums> sums) {
  std::vector<double> means, deviations;
  for (const PixelSums& channel : sums) {
    means.push_back(channel.mean());
    deviations.push_back(channel.deviation());
  }
  return {means, deviations};
}

}  // namespace regatta
