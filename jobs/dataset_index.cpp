#include "jobs/dataset_index.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/enum_text.hpp"
#include "common/hash.hpp"
#include "jobs/idx_files.hpp"
#include "jobs/idx_format.hpp"
#include "jobs/synthetic.hpp"

namespace regatta {

namespace {

constexpr EnumText<DataFormat, 2> kFormat{{{{DataFormat::kIdx, "idx"}, {DataFormat::kSynthetic, "synthetic"}}}};

[[noreturn]] void refuse(const std::string& what) {
  throw ConfigError("data.format: " + what + " is not in this version\n  use idx, or synthetic with shape and classes");
}

/// Paths and the key itself are no content.
std::string content_key(const DatasetIndex& index) {
  Json content = to_json(index);
  content.erase("key");
  for (auto& file : content["files"]) file.erase("path");
  return xxh3_hex(content.dump());
}

std::int64_t positive(const Json& json, const char* key, std::int64_t least = 1) {
  const auto value = json_get<std::int64_t>(json, key);
  if (value < least) json_bad(key, "at least " + std::to_string(least), std::to_string(value));
  return value;
}

/// Three sizes; training and test set together fit 63 bits.
void read_shape(const Json& json, DatasetIndex& index) {
  const Json& shape = json_at(json, "sample_shape");
  if (!shape.is_array() || shape.size() != 3) json_bad("sample_shape", "[channels, height, width]", shape.dump());
  if (index.train_count > std::numeric_limits<std::int64_t>::max() - index.test_count)
    json_bad("test_count", "counts whose sum fits 63 bits", std::to_string(index.test_count));
  std::int64_t product = index.train_count + index.test_count;
  for (const Json& size : shape) {
    const bool fits =
        size.is_number_integer() && size > 0 && size <= std::numeric_limits<std::int64_t>::max() / product;
    if (!fits) json_bad("sample_shape", "sizes of at least 1 whose product with the counts fits 63 bits", shape.dump());
    index.sample_shape.push_back(size.get<std::int64_t>());
    product *= index.sample_shape.back();
  }
}

void read_files(const Json& json, DatasetIndex& index) {
  const Json& files = json_at(json, "files");
  const std::size_t expected = index.format == DataFormat::kIdx ? kIdxRoles.size() : 0;
  if (!files.is_array() || files.size() != expected)
    json_bad("files", "a list of " + std::to_string(expected),
             files.is_array() ? std::to_string(files.size()) : files.dump());
  for (std::size_t i = 0; i < expected; ++i) {
    IndexedFile file{json_get<std::string>(files[i], "role"), json_get<std::string>(files[i], "path"),
                     positive(files[i], "bytes"), json_get<std::string>(files[i], "xxh3")};
    if (file.role != kIdxRoles[i]) json_bad("files.role", kIdxRoles[i], file.role);
    if (!file.path.is_absolute()) json_bad("files.path", "an absolute path", "\"" + file.path.string() + "\"");
    index.files.push_back(std::move(file));
  }
}

}  // namespace

std::int64_t DatasetIndex::sample_bytes() const {
  std::int64_t bytes = 1;
  for (const std::int64_t size : sample_shape) bytes *= size;
  return bytes;
}

std::int64_t DatasetIndex::decoded_bytes() const {
  __extension__ using Wide = __int128;
  const Wide bytes = (Wide(train_count) + test_count) * (Wide(sample_bytes()) + sizeof(std::int64_t));
  return static_cast<std::int64_t>(std::min(bytes, Wide(std::numeric_limits<std::int64_t>::max())));
}

void expect_fits_memory(const DatasetIndex& index, std::int64_t memory_bytes) {
  if (index.decoded_bytes() <= memory_bytes) return;
  constexpr double kGigabyte = 1e9;
  throw DataError(fmt::format(
      "data: expected at most {:.1f} GB of decoded samples, the memory of this host, found {:.1f} GB\n  ask "
      "for fewer or smaller samples, or train where there is more memory",
      static_cast<double>(memory_bytes) / kGigabyte, static_cast<double>(index.decoded_bytes()) / kGigabyte));
}

std::int64_t bytes_to_index(const DataSpec& data) {
  if (data.format != DataFormat::kIdx) return kStatisticsBytes;
  std::int64_t bytes = 0;
  for (const auto& file : find_idx_files(data.path)) {
    std::error_code unreadable;  // index_idx() says why
    const auto size = std::filesystem::file_size(file, unreadable);
    if (!unreadable) bytes += static_cast<std::int64_t>(size);
  }
  return bytes;
}

Duration reading_allowance(std::int64_t bytes) {
  constexpr double kSlowestBytesPerSecond = 5e6;  // a cold network file system; decoding itself runs at 200e6
  return from_seconds(std::min(static_cast<double>(bytes) / kSlowestBytesPerSecond, kLongestSeconds));
}

DatasetIndex index_dataset(const DataSpec& data, std::uint64_t seed, std::int64_t memory_bytes) {
  DatasetIndex index;
  switch (data.format) {
    case DataFormat::kIdx:
      index = index_idx(data.path);
      expect_fits_memory(index, memory_bytes);
      break;
    case DataFormat::kSynthetic:
      if (data.synthetic.shape.empty()) refuse("synthetic text");
      index = index_synthetic(data.synthetic, seed, memory_bytes);
      break;
    case DataFormat::kImageFolder:
      refuse("imagefolder");
    case DataFormat::kText:
      refuse("text");
  }
  index.key = content_key(index);
  return index;
}

void decode_split(const DatasetIndex& index, std::uint64_t seed, Split split, RawSamples out) {
  if (index.format == DataFormat::kIdx) return decode_idx(index, split, out);
  REGATTA_ENSURE(index.format == DataFormat::kSynthetic, "an index of a format that nobody indexes");
  decode_synthetic(index, seed, split, out);
}

Json to_json(const DatasetIndex& index) {
  Json files = Json::array();
  for (const auto& file : index.files)
    files.push_back({{"role", file.role}, {"path", file.path.string()}, {"bytes", file.bytes}, {"xxh3", file.xxh3}});
  return {{"format", kFormat.text(index.format)},
          {"train_count", index.train_count},
          {"test_count", index.test_count},
          {"classes", index.classes},
          {"sample_shape", index.sample_shape},
          {"mean", index.mean},
          {"deviation", index.deviation},
          {"files", files},
          {"key", index.key}};
}

DatasetIndex dataset_index_from_json(const Json& json) {
  DatasetIndex index;
  index.format = kFormat.from_json(json, "format");
  index.train_count = positive(json, "train_count");
  index.test_count = positive(json, "test_count");
  index.classes = positive(json, "classes", 2);
  read_shape(json, index);
  index.mean = json_get<double>(json, "mean");
  index.deviation = json_get<double>(json, "deviation");
  if (!std::isfinite(index.mean)) json_bad("mean", "a finite number", json_at(json, "mean").dump());
  if (!std::isfinite(index.deviation) || index.deviation <= 0)
    json_bad("deviation", "a number above 0", json_at(json, "deviation").dump());
  read_files(json, index);
  index.key = json_get<std::string>(json, "key");
  if (const auto computed = content_key(index); computed != index.key)
    json_bad("key", computed + ", the hash of this content", index.key);
  return index;
}

}  // namespace regatta
