#pragma once
// Single samples of an idx data set that is not packed: image i lies at 16 + i x its size.

#include "jobs/sample_reader.hpp"

namespace regatta {

/// By the sizes alone: the images fill their files, as they do in no gzip file but one made for it, and that one has
/// no idx header.
bool is_raw_idx(const DatasetIndex& index);

/// Labels are read at once, images one by one.
std::unique_ptr<SampleReader> open_idx_samples(const DatasetIndex& index, Split split);

}  // namespace regatta
