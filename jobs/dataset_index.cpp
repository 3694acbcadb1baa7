#include "jobs/dataset_index.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "common/error.hpp"
#include "jobs/data_placement.hpp"
#include "jobs/idx_files.hpp"
#include "jobs/idx_format.hpp"
#include "jobs/image_folder.hpp"
#include "jobs/image_listing.hpp"
#include "jobs/image_samples.hpp"
#include "jobs/synthetic.hpp"
#include "jobs/synthetic_text.hpp"
#include "jobs/text_format.hpp"

namespace regatta {

namespace {

/// What opening a small file on a network file system may cost: 5 ms.
constexpr std::int64_t kBytesPerFile = 25'000;

}  // namespace

std::int64_t DatasetIndex::bytes_to_decode() const {
  const std::int64_t decoded = decoded_bytes(), most = std::numeric_limits<std::int64_t>::max() - images.data_bytes;
  const std::int64_t from_files = std::min(images.count, most / kBytesPerFile / 2) * kBytesPerFile + images.data_bytes;
  return std::min(decoded, std::numeric_limits<std::int64_t>::max() - from_files) + from_files;
}

std::int64_t DatasetIndex::sample_bytes() const {
  std::int64_t bytes = 1;
  for (const std::int64_t size : sample_shape) bytes *= size;
  return is_text() ? bytes + 1 : bytes;
}

std::int64_t DatasetIndex::decoded_bytes() const {
  __extension__ using Wide = __int128;
  const Wide bytes = (Wide(train_count) + test_count) * (Wide(sample_bytes()) + sizeof(std::int64_t));
  return static_cast<std::int64_t>(std::min(bytes, Wide(std::numeric_limits<std::int64_t>::max())));
}

std::int64_t bytes_to_index(const DataSpec& data) {
  if (data.format == DataFormat::kSynthetic) return kStatisticsBytes;
  std::vector<std::filesystem::path> files;
  if (data.format == DataFormat::kText) files.push_back(data.path);
  if (data.format == DataFormat::kIdx)
    for (const auto& file : find_idx_files(data.path)) files.push_back(file);
  if (data.format == DataFormat::kImageFolder) {
    const ImageListing listing = list_images(data.path);
    for (const auto* split : {&listing.train, &listing.test})
      for (const auto& image : *split) files.push_back(data.path / image.path);
  }
  std::int64_t bytes = kBytesPerFile * static_cast<std::int64_t>(files.size());
  for (const auto& file : files) {
    std::error_code unreadable;  // index_dataset() says why
    const auto size = std::filesystem::file_size(file, unreadable);
    if (!unreadable) bytes += static_cast<std::int64_t>(size);
  }
  return bytes;
}

std::string skipped_words(const DatasetIndex& index) {
  if (index.skipped == 0) return {};
  const auto unnamed = index.skipped - static_cast<std::int64_t>(index.damaged.size());
  return fmt::format("{} damaged file{} left out: {}{}", index.skipped, index.skipped == 1 ? "" : "s",
                     fmt::join(index.damaged, "; "), unnamed > 0 ? fmt::format("; and {} more", unnamed) : "");
}

Duration reading_allowance(std::int64_t bytes) {
  constexpr double kSlowestBytesPerSecond = 5e6;  // a cold network file system; decoding itself runs at 200e6
  return from_seconds(std::min(static_cast<double>(bytes) / kSlowestBytesPerSecond, kLongestSeconds));
}

DatasetIndex index_dataset(const DataSpec& data, std::uint64_t seed, std::int64_t host_bytes,
                           const IndexProgress& progress) {
  DatasetIndex index;
  switch (data.format) {
    case DataFormat::kIdx:
      index = index_idx(data.path);
      break;
    case DataFormat::kImageFolder:
      index = index_image_folder(data, progress);
      break;
    case DataFormat::kText:
      index = index_text(data.path, data.length);
      break;
    case DataFormat::kSynthetic:
      index = data.synthetic.length > 0 ? index_synthetic_text(data.synthetic) : index_synthetic(data.synthetic, seed);
      break;
  }
  must_stream(index, memory_limit(data, host_bytes));  // throws where it must and cannot
  index.key = content_key(index);
  return index;
}

void decode_split(const DatasetIndex& index, std::uint64_t seed, Split split, RawSamples out) {
  switch (index.format) {
    case DataFormat::kIdx:
      return decode_idx(index, split, out);
    case DataFormat::kText:
      return decode_text(index, split, out);
    case DataFormat::kSynthetic:
      return index.is_text() ? decode_synthetic_text(index, seed, split, out)
                             : decode_synthetic(index, seed, split, out);
    case DataFormat::kImageFolder:
      REGATTA_ENSURE(index.images.manifest, "an image folder without its manifest");
      return decode_image_folder(index, split, out);
  }
}

}  // namespace regatta
