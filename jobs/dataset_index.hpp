#pragma once
// A dataset as it stands on disk, indexed once: counts, classes, shapes, files with size and hash. Torch-free.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/host.hpp"
#include "common/json.hpp"
#include "common/time.hpp"
#include "jobs/spec.hpp"

namespace regatta {

struct ImageManifest;

struct IndexedFile {
  std::string role;            ///< idx: train_images | train_labels | test_images | test_labels; text: text
  std::filesystem::path path;  ///< absolute
  std::int64_t bytes = 0;      ///< on disk, compressed or not
  std::string xxh3;            ///< of those bytes
  bool operator==(const IndexedFile&) const = default;
};

/// The files of an image folder: by their manifest (image_manifest.hpp), which lies beside plan.json as manifest.tsv.
struct IndexedImages {
  std::filesystem::path folder;                   ///< absolute
  std::int64_t count = 0;                         ///< of files
  std::int64_t data_bytes = 0;                    ///< of all files
  std::int64_t bytes = 0;                         ///< of the manifest
  std::string xxh3;                               ///< of the manifest
  std::shared_ptr<const ImageManifest> manifest;  ///< nothing until it is attached
};

enum class Split { kTrain, kTest };

struct DatasetIndex {
  DataFormat format = DataFormat::kIdx;
  std::int64_t train_count = 0, test_count = 0;
  std::int64_t classes = 0;                ///< text: the size of the alphabet
  std::vector<std::int64_t> sample_shape;  ///< images (C, H, W); text (length)
  /// By channel, of the training pixels scaled to [0, 1], from exact integer sums; empty for text.
  std::vector<double> mean, deviation;
  std::string alphabet;              ///< text: the byte of each class, ascending; else empty
  std::int64_t skipped = 0;          ///< damaged files left out (on_error: skip)
  std::vector<std::string> damaged;  ///< the first few of them: "train/cat/7.jpg: expected JPEG or PNG, found text"
  std::vector<IndexedFile> files;    ///< idx, text
  IndexedImages images;              ///< imagefolder
  std::string key;  ///< xxh3 over all of the above but the paths and `damaged`: the content, wherever it lies
  bool operator==(const DatasetIndex&) const;

  std::int64_t count(Split split) const { return split == Split::kTrain ? train_count : test_count; }
  bool is_text() const { return sample_shape.size() == 1; }
  std::int64_t channels() const { return is_text() ? 1 : sample_shape[0]; }
  /// One byte an element. Images: the product of sample_shape, stored (H, W, C). Text: length + 1 classes, so that the
  /// target of each of the first `length` is its successor.
  std::int64_t sample_bytes() const;
  std::int64_t targets_per_sample() const { return is_text() ? sample_shape[0] : 1; }
  std::int64_t decoded_bytes() const;  ///< both splits with their labels, as each node holds them
  /// What decoding both splits goes through, for reading_allowance().
  std::int64_t bytes_to_decode() const;
};

/// Told again and again while a folder of files is indexed: so many of so many are done. One call at a time.
using IndexProgress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Reads and checks every file. Throws DataError: which file, where, expected, found, what to do; also for data that
/// would have to be streamed (data_placement.hpp) and cannot be.
DatasetIndex index_dataset(const DataSpec& data, std::uint64_t seed, std::int64_t host_bytes = host_memory_bytes(),
                           const IndexProgress& progress = {});

/// What index_dataset() goes through, without reading it, for reading_allowance(). Throws DataError when there are no
/// such files.
std::int64_t bytes_to_index(const DataSpec& data);

/// "2 damaged files left out: FILE: WHY; FILE: WHY"; empty when there are none.
std::string skipped_words(const DatasetIndex& index);

/// By how much a wait for somebody who reads or makes `bytes` of data may outlast its usual deadline.
Duration reading_allowance(std::int64_t bytes);

/// DatasetIndex::key, worked out.
std::string content_key(const DatasetIndex& index);

/// Without the manifest.
Json to_json(const DatasetIndex&);
/// Of an image folder nothing can be decoded until attach_manifest().
DatasetIndex dataset_index_from_json(const Json&);

/// The name of the manifest's file, beside plan.json.
inline constexpr const char* kManifestFile = "manifest.tsv";
/// Its content; empty for a dataset that has none.
std::string manifest_of(const DatasetIndex& index);
/// `text`: of a manifest file, empty for a dataset that has none. Throws IoError unless it is this index's.
void attach_manifest(DatasetIndex& index, const std::string& text);

/// Raw samples of one split, decoded: `pixels` has count x sample_bytes() bytes, `labels` has count entries.
/// The caller owns both (node-shared memory, mostly).
struct RawSamples {
  std::uint8_t* pixels;  // (count, H, W, C) uint8, or (count, length + 1) classes
  std::int64_t* labels;  // (count) int64 in [0, classes); text: 0
};
/// Fills `out` with the split. Re-hashes each file and throws DataError when it changed after indexing.
void decode_split(const DatasetIndex& index, std::uint64_t seed, Split split, RawSamples out);

}  // namespace regatta
