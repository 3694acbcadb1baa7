#pragma once
// A dataset as it stands on disk, indexed once: counts, classes, shapes, files with size and hash. Torch-free.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/host.hpp"
#include "common/json.hpp"
#include "common/time.hpp"
#include "jobs/spec.hpp"

namespace regatta {

struct IndexedFile {
  std::string role;            ///< idx: train_images | train_labels | test_images | test_labels; text: text
  std::filesystem::path path;  ///< absolute
  std::int64_t bytes = 0;      ///< on disk, compressed or not
  std::string xxh3;            ///< of those bytes
  bool operator==(const IndexedFile&) const = default;
};

struct DatasetIndex {
  DataFormat format = DataFormat::kIdx;
  std::int64_t train_count = 0, test_count = 0;
  std::int64_t classes = 0;                ///< text: the size of the alphabet
  std::vector<std::int64_t> sample_shape;  ///< images (C, H, W); text (length)
  /// By channel, of the training pixels scaled to [0, 1], from exact integer sums; empty for text.
  std::vector<double> mean, deviation;
  std::string alphabet;      ///< text: the byte of each class, ascending; else empty
  std::int64_t skipped = 0;  ///< damaged files left out (on_error: skip)
  std::vector<IndexedFile> files;
  std::string key;  ///< xxh3 over all of the above but the paths: the content, wherever it lies
  bool operator==(const DatasetIndex&) const = default;

  bool is_text() const { return sample_shape.size() == 1; }
  std::int64_t channels() const { return is_text() ? 1 : sample_shape[0]; }
  /// One byte an element. Images: the product of sample_shape, stored (H, W, C). Text: length + 1 classes, so that the
  /// target of each of the first `length` is its successor.
  std::int64_t sample_bytes() const;
  std::int64_t targets_per_sample() const { return is_text() ? sample_shape[0] : 1; }
  std::int64_t decoded_bytes() const;  ///< both splits with their labels, as each node holds them
};

/// Reads and checks every file. Throws DataError: which file, where, expected, found, what to do; also for data that
/// would not fit, decoded, into `memory_bytes`.
DatasetIndex index_dataset(const DataSpec& data, std::uint64_t seed, std::int64_t memory_bytes = host_memory_bytes());

/// What index_dataset() goes through, without reading it. Throws DataError when there are no such files.
std::int64_t bytes_to_index(const DataSpec& data);

/// By how much a wait for somebody who reads or makes `bytes` of data may outlast its usual deadline.
Duration reading_allowance(std::int64_t bytes);

/// Throws DataError unless `index` fits, decoded, into `memory_bytes`.
void expect_fits_memory(const DatasetIndex& index, std::int64_t memory_bytes);

Json to_json(const DatasetIndex&);
DatasetIndex dataset_index_from_json(const Json&);

/// Raw samples of one split, decoded: `pixels` has count x sample_bytes() bytes, `labels` has count entries.
/// The caller owns both (node-shared memory, mostly).
enum class Split { kTrain, kTest };
struct RawSamples {
  std::uint8_t* pixels;  // (count, H, W, C) uint8, or (count, length + 1) classes
  std::int64_t* labels;  // (count) int64 in [0, classes); text: 0
};
/// Fills `out` with the split. Re-hashes each file and throws DataError when it changed after indexing.
void decode_split(const DatasetIndex& index, std::uint64_t seed, Split split, RawSamples out);

}  // namespace regatta
