#pragma once
// The idx format of MNIST, raw or gzip.
//
// Grammar (all numbers big-endian, http://yann.lecun.com/exdb/mnist/):
//   0x00 0x00 TYPE RANK, then RANK x uint32 sizes, then the elements, row-major.
//   TYPE is 0x08 (uint8), the only one read here. Images have RANK 3 (count, rows, columns), labels RANK 1 (count).

#include <cstdint>
#include <filesystem>
#include <vector>

#include "jobs/dataset_index.hpp"

namespace regatta {

/// Everything of the index but `key`. Reads and checks every file. Throws DataError.
DatasetIndex index_idx(const std::filesystem::path& folder);

/// See decode_split.
void decode_idx(const DatasetIndex& index, Split split, RawSamples out);

/// The labels of a split, checked as decode_split checks them.
std::vector<std::uint8_t> read_idx_labels(const DatasetIndex& index, Split split);

}  // namespace regatta
