#pragma once
// A split as decode_split gives it.

#include <algorithm>
#include <vector>

#include "jobs/sample_reader.hpp"

namespace regatta::test {

struct Decoded {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  bool operator==(const Decoded&) const = default;
};

inline Decoded decoded(const DatasetIndex& index, Split split, std::uint64_t seed = 1) {
  const auto count = static_cast<std::size_t>(index.count(split));
  Decoded out{std::vector<std::uint8_t>(count * static_cast<std::size_t>(index.sample_bytes())),
              std::vector<std::int64_t>(count, -1)};
  decode_split(index, seed, split, {out.pixels.data(), out.labels.data()});
  return out;
}

/// The same, sample by sample, from the last to the first.
inline Decoded read_backwards(const DatasetIndex& index, Split split, std::uint64_t seed = 1) {
  const std::int64_t count = index.count(split);
  const std::int64_t bytes = index.sample_bytes();
  Decoded out{std::vector<std::uint8_t>(static_cast<std::size_t>(count * bytes)),
              std::vector<std::int64_t>(static_cast<std::size_t>(count), -1)};
  const auto reader = open_samples(index, seed, split);
  for (std::int64_t sample = count; sample-- > 0;)
    out.labels[static_cast<std::size_t>(sample)] = reader->read(sample, out.pixels.data() + sample * bytes);
  return out;
}

}  // namespace regatta::test
