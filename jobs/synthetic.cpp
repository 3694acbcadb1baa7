#include "jobs/synthetic.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <tuple>
#include <unordered_map>

#include "common/error.hpp"
#include "jobs/pixel_sums.hpp"
#include "jobs/synthetic_words.hpp"

namespace regatta {

namespace {

/// The prototype of one class: (H, W, C) uint8, each pixel 0 or 255.
std::vector<std::uint8_t> prototype(const std::vector<std::int64_t>& shape, std::uint64_t seed, std::int64_t label) {
  WordStream words(key_of(seed, Stream::kPrototype, label));
  const std::int64_t height = shape[1], width = shape[2], across = (width + kSquare - 1) / kSquare;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape[0] * height * width));
  std::vector<std::uint8_t> row_of_squares(static_cast<std::size_t>(across));
  for (std::int64_t line = 0; line < shape[0] * height; ++line) {
    if (line % height % kSquare == 0)
      for (auto& square : row_of_squares) square = words.next() >> 63 != 0 ? 255 : 0;
    const std::int64_t channel = line / height, y = line % height;
    for (std::int64_t x = 0; x < width; ++x)
      pixels[static_cast<std::size_t>((y * width + x) * shape[0] + channel)] =
          row_of_squares[static_cast<std::size_t>(x / kSquare)];
  }
  return pixels;
}

/// Of the classes that the first `count` samples have.
std::vector<std::vector<std::uint8_t>> prototypes(const DatasetIndex& index, std::uint64_t seed, std::int64_t count) {
  std::vector<std::vector<std::uint8_t>> all;
  for (std::int64_t label = 0; label < std::min(index.classes, count); ++label)
    all.push_back(prototype(index.sample_shape, seed, label));
  return all;
}

void fill_sample(std::span<std::uint8_t> out, const std::vector<std::uint8_t>& pattern, std::uint64_t key) {
  WordStream words(key);
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i % 8 == 0) word = words.next();
    out[i] = static_cast<std::uint8_t>((pattern[i] + 2 * ((word >> (i % 8 * 8)) & 255)) / 3);
  }
}

/// Throws DataError when samples x shape does not fit 63 bits.
void expect_sizes_fit(const SyntheticSpec& spec) {
  std::int64_t bytes = spec.samples;
  for (const std::int64_t size : spec.shape) {
    if (size < 1 || bytes > std::numeric_limits<std::int64_t>::max() / size)
      throw DataError("data.shape: expected sizes of at least 1 whose product with data.samples fits 63 bits, found " +
                      std::to_string(size) + "\n  ask for fewer or smaller samples");
    bytes *= size;
  }
}

class SyntheticImages final : public SampleReader {
 public:
  SyntheticImages(const DatasetIndex& index, std::uint64_t seed, Split split)
      : index_(index), seed_(seed), split_(split) {}

  std::int64_t read(std::int64_t sample, std::uint8_t* bytes) override {
    const std::int64_t label = sample % index_.classes;
    auto [entry, is_new] = patterns_.try_emplace(label);
    if (is_new) entry->second = prototype(index_.sample_shape, seed_, label);
    fill_sample({bytes, entry->second.size()}, entry->second, sample_key(seed_, split_, sample));
    return label;
  }

 private:
  const DatasetIndex& index_;
  std::uint64_t seed_;
  Split split_;
  std::unordered_map<std::int64_t, std::vector<std::uint8_t>> patterns_;  // by class
};

}  // namespace

DatasetIndex index_synthetic(const SyntheticSpec& spec, std::uint64_t seed) {
  REGATTA_ENSURE(spec.samples >= 1 && spec.shape.size() == 3 && spec.classes >= 2,
                 "synthetic sizes that nobody checked");
  expect_sizes_fit(spec);
  DatasetIndex index;
  index.format = DataFormat::kSynthetic;
  index.train_count = spec.samples;
  index.test_count = std::max<std::int64_t>(1, spec.samples / 10);
  index.classes = spec.classes;
  index.sample_shape = spec.shape;
  const std::int64_t counted = std::clamp<std::int64_t>(kStatisticsBytes / index.sample_bytes(), 1, index.train_count);
  const auto patterns = prototypes(index, seed, counted);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(index.sample_bytes()));
  const auto channels = static_cast<std::size_t>(index.channels());
  std::vector<PixelSums> sums(channels);
  for (std::int64_t sample = 0; sample < counted; ++sample) {
    fill_sample(pixels, patterns[static_cast<std::size_t>(sample % index.classes)],
                sample_key(seed, Split::kTrain, sample));
    add_by_channel(sums, pixels);
  }
  std::tie(index.mean, index.deviation) = statistics_of(sums);
  return index;
}

void decode_synthetic(const DatasetIndex& index, std::uint64_t seed, Split split, RawSamples out) {
  const auto bytes = static_cast<std::size_t>(index.sample_bytes());
  const std::int64_t count = index.count(split);
  const auto patterns = prototypes(index, seed, count);
  for (std::int64_t sample = 0; sample < count; ++sample) {
    out.labels[sample] = sample % index.classes;
    fill_sample({out.pixels + static_cast<std::size_t>(sample) * bytes, bytes},
                patterns[static_cast<std::size_t>(out.labels[sample])], sample_key(seed, split, sample));
  }
}

std::unique_ptr<SampleReader> open_synthetic_samples(const DatasetIndex& index, std::uint64_t seed, Split split) {
  return std::make_unique<SyntheticImages>(index, seed, split);
}

}  // namespace regatta
