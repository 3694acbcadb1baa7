#pragma once
// Synthetic text: as much as wanted, without a file, that a recurrent model can learn. A sample is a pure function of
// (seed, split, sample).

#include <memory>

#include "jobs/dataset_index.hpp"
#include "jobs/sample_reader.hpp"

namespace regatta {

/// A seed gives each symbol one successor, in one cycle through all of them. A sample begins anywhere; each further
/// symbol is the successor of the one before it, or, one time in kNoiseOneIn, any symbol. So all symbols are equally
/// frequent, and who knows the cycle needs about a quarter of their entropy.
constexpr std::uint64_t kNoiseOneIn = 4;

/// Everything of the index but `key`, which does not depend on the seed. Counts as index_synthetic(). The alphabet are
/// bytes from ' ' on where they are printable, else from 0 on.
DatasetIndex index_synthetic_text(const SyntheticSpec& spec);

/// See decode_split and open_samples.
void decode_synthetic_text(const DatasetIndex& index, std::uint64_t seed, Split split, RawSamples out);
std::unique_ptr<SampleReader> open_synthetic_text_samples(const DatasetIndex& index, std::uint64_t seed, Split split);

}  // namespace regatta
