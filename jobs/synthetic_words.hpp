#pragma once
// Random words as functions of (seed, what for, number): what synthetic data are made of. Tests pin their bits.

#include <cstdint>

#include "common/splitmix.hpp"
#include "jobs/dataset_index.hpp"

namespace regatta {

/// SplitMix64: a stream of 64-bit words from a key.
class WordStream {
 public:
  explicit WordStream(std::uint64_t key) : state_(key) {}
  std::uint64_t next() {
    state_ += kGoldenStride;
    return mix64(state_);
  }

 private:
  std::uint64_t state_;
};

enum class Stream : std::uint64_t { kPrototype = 1, kTrain = 2, kTest = 3, kSuccessors = 4 };

inline std::uint64_t key_of(std::uint64_t seed, Stream stream, std::int64_t number) {
  const std::uint64_t key = WordStream(seed).next() + static_cast<std::uint64_t>(stream);
  return WordStream(key).next() + static_cast<std::uint64_t>(number) * 0xd1342543de82ef95U;  // odd: no two numbers meet
}

inline std::uint64_t sample_key(std::uint64_t seed, Split split, std::int64_t sample) {
  return key_of(seed, split == Split::kTrain ? Stream::kTrain : Stream::kTest, sample);
}

}  // namespace regatta
