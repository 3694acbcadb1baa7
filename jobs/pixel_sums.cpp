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

}  // namespace regatta
