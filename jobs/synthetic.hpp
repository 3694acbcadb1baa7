#pragma once
// Synthetic images: as many as wanted, without a file, that a model can learn. A sample is a pure function of (seed,
// split, sample), so that every rank on every machine has the same data.

#include "jobs/dataset_index.hpp"

namespace regatta {

/// The label of sample i is i mod classes. A class has a prototype, drawn from the seed: squares of kSquare x kSquare
/// pixels, dark or bright. A sample mixes one part prototype with two parts noise; no pixel alone says the class, but
/// all of them together do.
constexpr std::int64_t kSquare = 4;

/// Everything of the index but `key`. `samples` is the training set; the test set is a tenth of it beside, at least one
/// sample. Throws DataError for sizes that overflow.
DatasetIndex index_synthetic(const SyntheticSpec& spec, std::uint64_t seed);

/// See decode_split.
void decode_synthetic(const DatasetIndex& index, std::uint64_t seed, Split split, RawSamples out);

}  // namespace regatta
