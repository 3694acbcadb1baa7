#pragma once
// Synthetic images: as many as wanted, without a file, that a model can learn. A sample is a pure function of (seed,
// split, sample), so that every rank on every machine has the same data.

#include <memory>

#include "jobs/dataset_index.hpp"
#include "jobs/sample_reader.hpp"

namespace regatta {

/// The label of sample i is i mod classes. A class has a prototype, drawn from the seed: squares of kSquare x kSquare
/// pixels, dark or bright. A sample mixes one part prototype with two parts noise; no pixel alone says the class, but
/// all of them together do.
constexpr std::int64_t kSquare = 4;

/// Mean and deviation are those of the training samples that fill this many bytes, of one at least: all of a small set,
/// and 0.3 s of work for a large one, which decoding makes anyway.
constexpr std::int64_t kStatisticsBytes = std::int64_t{1} << 26;

/// Everything of the index but `key`. `samples` is the training set; the test set is a tenth of it beside, at least one
/// sample. Throws DataError for sizes that overflow.
DatasetIndex index_synthetic(const SyntheticSpec& spec, std::uint64_t seed);

/// See decode_split.
void decode_synthetic(const DatasetIndex& index, std::uint64_t seed, Split split, RawSamples out);

/// See open_samples. Keeps the prototypes of the classes that were asked for.
std::unique_ptr<SampleReader> open_synthetic_samples(const DatasetIndex& index, std::uint64_t seed, Split split);

}  // namespace regatta
