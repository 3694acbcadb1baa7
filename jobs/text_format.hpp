#pragma once
// Text as training data: a file, raw or gzip, of which each byte is a character.
//
// A sample is a window of `length` characters, the first at 0, `length`, 2 x length and so on, with the successor of
// each as its target; so it needs one character more, which is also the first of the next window. The classes are the
// bytes that occur, ascending. The last tenth of the windows, one at least, is the test set; what is left after the
// last is unused.

#include <filesystem>
#include <memory>

#include "jobs/dataset_index.hpp"
#include "jobs/sample_reader.hpp"

namespace regatta {

/// The role of the one file of an index.
inline constexpr const char* kTextRole = "text";

/// Everything of the index but `key`. Reads the whole file. Throws DataError.
DatasetIndex index_text(const std::filesystem::path& file, std::int64_t length);

/// See decode_split.
void decode_text(const DatasetIndex& index, Split split, RawSamples out);

/// By its size alone: the windows of the index fill the file, as they hardly ever do in a gzip file.
bool is_raw_text(const DatasetIndex& index);

/// See open_samples.
std::unique_ptr<SampleReader> open_text_samples(const DatasetIndex& index, Split split);

}  // namespace regatta
