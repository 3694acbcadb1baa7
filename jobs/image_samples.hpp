#pragma once
// The samples of an image folder whose index has its manifest: one by one, or a split at once.

#include <memory>

#include "jobs/sample_reader.hpp"

namespace regatta {

/// See open_samples. Each read checks the file's size and hash.
std::unique_ptr<SampleReader> open_image_samples(const DatasetIndex& index, Split split);

/// See decode_split; in as many threads as this one may use cores.
void decode_image_folder(const DatasetIndex& index, Split split, RawSamples out);

}  // namespace regatta
