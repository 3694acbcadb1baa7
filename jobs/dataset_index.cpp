#include "jobs/dataset_index.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/hash.hpp"
#include "jobs/idx_files.hpp"
#include "jobs/idx_format.hpp"
#include "jobs/spec_words.hpp"
#include "jobs/synthetic.hpp"
#include "jobs/synthetic_text.hpp"
#include "jobs/text_format.hpp"

namespace regatta {

namespace {

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

/// Three sizes, or one for text; training and test set together fit 63 bits.
void read_shape(const Json& json, DatasetIndex& index) {
  const Json& shape = json_at(json, "sample_shape");
  const bool known = shape.is_array() && (shape.size() == 3 || shape.size() == 1);
  if (!known) json_bad("sample_shape", "[channels, height, width] or [length]", shape.dump());
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

/// A number a channel, each finite and above `above`.
std::vector<double> read_statistic(const Json& json, const char* key, const DatasetIndex& index, double above) {
  auto values = json_get<std::vector<double>>(json, key);
  const std::size_t expected = index.is_text() ? 0 : static_cast<std::size_t>(index.channels());
  const std::string found = json_at(json, key).dump();
  if (values.size() != expected) json_bad(key, fmt::format("{} numbers, one a channel", expected), found);
  for (const double value : values)
    if (!std::isfinite(value) || value <= above) json_bad(key, fmt::format("finite numbers above {}", above), found);
  return values;
}

/// One class a byte, ascending; bytes are written as numbers, because not every one of them is a character.
std::string read_alphabet(const Json& json, const DatasetIndex& index) {
  const auto bytes = json_get<std::vector<std::uint8_t>>(json, "alphabet");
  const bool fits = index.is_text() ? bytes.size() == static_cast<std::size_t>(index.classes) : bytes.empty();
  if (!fits || !std::is_sorted(bytes.begin(), bytes.end()))
    json_bad("alphabet", "as many ascending bytes as there are classes; none for images",
             json_at(json, "alphabet").dump());
  return {bytes.begin(), bytes.end()};
}

/// Of the files that an index of this format lists, in order.
std::vector<std::string> file_roles(DataFormat format) {
  if (format == DataFormat::kIdx) return {kIdxRoles.begin(), kIdxRoles.end()};
  if (format == DataFormat::kText) return {kTextRole};
  return {};
}

void read_files(const Json& json, DatasetIndex& index) {
  const Json& files = json_at(json, "files");
  const std::vector<std::string> roles = file_roles(index.format);
  if (!files.is_array() || files.size() != roles.size())
    json_bad("files", "a list of " + std::to_string(roles.size()),
             files.is_array() ? std::to_string(files.size()) : files.dump());
  for (std::size_t i = 0; i < roles.size(); ++i) {
    IndexedFile file{json_get<std::string>(files[i], "role"), json_get<std::string>(files[i], "path"),
                     positive(files[i], "bytes"), json_get<std::string>(files[i], "xxh3")};
    if (file.role != roles[i]) json_bad("files.role", roles[i], file.role);
    if (!file.path.is_absolute()) json_bad("files.path", "an absolute path", "\"" + file.path.string() + "\"");
    index.files.push_back(std::move(file));
  }
}

}  // namespace

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

void expect_fits_memory(const DatasetIndex& index, std::int64_t memory_bytes) {
  if (index.decoded_bytes() <= memory_bytes) return;
  constexpr double kGigabyte = 1e9;
  throw DataError(fmt::format(
      "data: expected at most {:.1f} GB of decoded samples, the memory of this host, found {:.1f} GB\n  ask "
      "for fewer or smaller samples, or train where there is more memory",
      static_cast<double>(memory_bytes) / kGigabyte, static_cast<double>(index.decoded_bytes()) / kGigabyte));
}

std::int64_t bytes_to_index(const DataSpec& data) {
  if (data.format == DataFormat::kSynthetic) return kStatisticsBytes;
  std::vector<std::filesystem::path> files;
  if (data.format == DataFormat::kText) files.push_back(data.path);
  if (data.format == DataFormat::kIdx)
    for (const auto& file : find_idx_files(data.path)) files.push_back(file);
  std::int64_t bytes = 0;
  for (const auto& file : files) {
    std::error_code unreadable;  // index_dataset() says why
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
      if (data.synthetic.length > 0) {
        index = index_synthetic_text(data.synthetic);
        expect_fits_memory(index, memory_bytes);
      } else {
        index = index_synthetic(data.synthetic, seed, memory_bytes);
      }
      break;
    case DataFormat::kImageFolder:
      refuse("imagefolder");
    case DataFormat::kText:
      index = index_text(data.path, data.length);
      expect_fits_memory(index, memory_bytes);
      break;
  }
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
      break;
  }
  REGATTA_ENSURE(false, "an index of a format that nobody indexes");
}

Json to_json(const DatasetIndex& index) {
  Json files = Json::array();
  for (const auto& file : index.files)
    files.push_back({{"role", file.role}, {"path", file.path.string()}, {"bytes", file.bytes}, {"xxh3", file.xxh3}});
  return {{"format", kDataFormats.text(index.format)},
          {"train_count", index.train_count},
          {"test_count", index.test_count},
          {"classes", index.classes},
          {"sample_shape", index.sample_shape},
          {"mean", index.mean},
          {"deviation", index.deviation},
          {"alphabet", std::vector<std::uint8_t>(index.alphabet.begin(), index.alphabet.end())},
          {"skipped", index.skipped},
          {"files", files},
          {"key", index.key}};
}

DatasetIndex dataset_index_from_json(const Json& json) {
  DatasetIndex index;
  index.format = kDataFormats.from_json(json, "format");
  index.train_count = positive(json, "train_count");
  index.test_count = positive(json, "test_count");
  index.classes = positive(json, "classes", 2);
  read_shape(json, index);
  index.mean = read_statistic(json, "mean", index, std::numeric_limits<double>::lowest());
  index.deviation = read_statistic(json, "deviation", index, 0);
  index.alphabet = read_alphabet(json, index);
  index.skipped = positive(json, "skipped", 0);
  read_files(json, index);
  index.key = json_get<std::string>(json, "key");
  if (const auto computed = content_key(index); computed != index.key)
    json_bad("key", computed + ", the hash of this content", index.key);
  return index;
}

}  // namespace regatta
