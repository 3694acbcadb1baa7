#include "jobs/synthetic_text.hpp"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "jobs/synthetic_words.hpp"

namespace regatta {

namespace {

constexpr std::int64_t kPrintable = 95;  // ' ' to '~'

class SyntheticText final : public SampleReader {
 public:
  SyntheticText(const DatasetIndex& index, std::uint64_t seed, Split split)
      : symbols_(static_cast<std::uint64_t>(index.classes)), bytes_(index.sample_bytes()), seed_(seed), split_(split) {
    // Sattolo's algorithm: a permutation that is one cycle.
    successor_.resize(symbols_);
    std::iota(successor_.begin(), successor_.end(), std::uint8_t{0});
    WordStream words(key_of(seed, Stream::kSuccessors, 0));
    for (std::uint64_t i = symbols_ - 1; i > 0; --i) std::swap(successor_[i], successor_[words.next() % i]);
  }

  std::int64_t read(std::int64_t sample, std::uint8_t* bytes) override {
    WordStream words(sample_key(seed_, split_, sample));
    bytes[0] = static_cast<std::uint8_t>(words.next() % symbols_);
    for (std::int64_t i = 1; i < bytes_; ++i) {
      const std::uint64_t word = words.next();
      const bool noise = word % kNoiseOneIn == 0;
      bytes[i] = noise ? static_cast<std::uint8_t>(word / kNoiseOneIn % symbols_) : successor_[bytes[i - 1]];
    }
    return 0;
  }

 private:
  std::uint64_t symbols_;
  std::int64_t bytes_;
  std::uint64_t seed_;
  Split split_;
  std::vector<std::uint8_t> successor_;  // by symbol
};

}  // namespace

DatasetIndex index_synthetic_text(const SyntheticSpec& spec) {
  REGATTA_ENSURE(spec.samples >= 1 && spec.length >= 1 && spec.vocabulary >= 2 && spec.vocabulary <= 256,
                 "synthetic sizes that nobody checked");
  DatasetIndex index;
  index.format = DataFormat::kSynthetic;
  index.train_count = spec.samples;
  index.test_count = std::max<std::int64_t>(1, spec.samples / 10);
  index.classes = spec.vocabulary;
  index.sample_shape = {spec.length};
  const int first = spec.vocabulary <= kPrintable ? ' ' : 0;
  for (int i = 0; i < spec.vocabulary; ++i) index.alphabet += static_cast<char>(first + i);
  return index;
}

void decode_synthetic_text(const DatasetIndex& index, std::uint64_t seed, Split split, RawSamples out) {
  SyntheticText text(index, seed, split);
  const std::int64_t count = index.count(split);
  for (std::int64_t sample = 0; sample < count; ++sample)
    out.labels[sample] = text.read(sample, out.pixels + sample * index.sample_bytes());
}

std::unique_ptr<SampleReader> open_synthetic_text_samples(const DatasetIndex& index, std::uint64_t seed, Split split) {
  return std::make_unique<SyntheticText>(index, seed, split);
}

}  // namespace regatta
