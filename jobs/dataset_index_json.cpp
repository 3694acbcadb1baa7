// The index as JSON, in plan.json and `regatta run --dry-run --json`; its grammar is the struct in dataset_index.hpp.
//   files: of idx and text [{role, path, bytes, xxh3}], of imagefolder {folder, count, data_bytes, bytes, xxh3} (the
//   last two of manifest.tsv), of synthetic [].

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/hash.hpp"
#include "jobs/dataset_index.hpp"
#include "jobs/idx_files.hpp"
#include "jobs/image_manifest.hpp"
#include "jobs/spec_words.hpp"
#include "jobs/text_format.hpp"

namespace regatta {

namespace {

std::int64_t positive(const Json& json, const char* key, std::int64_t least = 1) {
  const auto value = json_get<std::int64_t>(json, key);
  if (value < least) json_bad(key, "at least " + std::to_string(least), std::to_string(value));
  return value;
}

/// Three sizes, or one for text; training and test set together fit 63 bits.
void read_shape(const Json& json, DatasetIndex& index) {
  const Json& shape = json_at(json, "sample_shape");
  const bool text = index.format == DataFormat::kText;
  const bool made = index.format == DataFormat::kSynthetic;
  const bool known = shape.is_array() && ((shape.size() == 3 && !text) || (shape.size() == 1 && (text || made)));
  if (!known)
    json_bad("sample_shape",
             text   ? "[length]"
             : made ? "[channels, height, width] or [length]"
                    : "[channels, height, width]",
             shape.dump());
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
  if (index.format == DataFormat::kImageFolder && index.channels() != 3)
    json_bad("sample_shape", "3 channels", shape.dump());
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

void read_images(const Json& json, DatasetIndex& index) {
  const Json& files = json_at(json, "files");
  IndexedImages& images = index.images;
  images.folder = json_get<std::string>(files, "folder");
  images.count = positive(files, "count");
  images.data_bytes = positive(files, "data_bytes");
  images.bytes = positive(files, "bytes");
  images.xxh3 = json_get<std::string>(files, "xxh3");
  if (!images.folder.is_absolute()) json_bad("files.folder", "an absolute path", "\"" + images.folder.string() + "\"");
  if (images.count != index.train_count + index.test_count)
    json_bad("files.count", "as many as there are samples", std::to_string(images.count));
}

Json files_json(const DatasetIndex& index) {
  if (index.format == DataFormat::kImageFolder)
    return {{"folder", index.images.folder.string()},
            {"count", index.images.count},
            {"data_bytes", index.images.data_bytes},
            {"bytes", index.images.bytes},
            {"xxh3", index.images.xxh3}};
  Json files = Json::array();
  for (const auto& file : index.files)
    files.push_back({{"role", file.role}, {"path", file.path.string()}, {"bytes", file.bytes}, {"xxh3", file.xxh3}});
  return files;
}

}  // namespace

/// Paths, the key itself and what is said about files left out are no content.
std::string content_key(const DatasetIndex& index) {
  Json content = to_json(index);
  content.erase("key");
  content.erase("damaged");
  if (index.format == DataFormat::kImageFolder)
    content["files"].erase("folder");
  else
    for (auto& file : content["files"]) file.erase("path");
  return xxh3_hex(content.dump());
}

bool DatasetIndex::operator==(const DatasetIndex& other) const {
  return to_json(*this) == to_json(other);
}

Json to_json(const DatasetIndex& index) {
  return {{"format", kDataFormats.text(index.format)},
          {"train_count", index.train_count},
          {"test_count", index.test_count},
          {"classes", index.classes},
          {"sample_shape", index.sample_shape},
          {"mean", index.mean},
          {"deviation", index.deviation},
          {"alphabet", std::vector<std::uint8_t>(index.alphabet.begin(), index.alphabet.end())},
          {"skipped", index.skipped},
          {"damaged", index.damaged},
          {"files", files_json(index)},
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
  if (json.contains("damaged")) index.damaged = json_get<std::vector<std::string>>(json, "damaged");
  if (index.format == DataFormat::kImageFolder)
    read_images(json, index);
  else
    read_files(json, index);
  index.key = json_get<std::string>(json, "key");
  if (const auto computed = content_key(index); computed != index.key)
    json_bad("key", computed + ", the hash of this content", index.key);
  return index;
}

std::string manifest_of(const DatasetIndex& index) {
  return index.images.manifest ? manifest_text(*index.images.manifest) : std::string();
}

void attach_manifest(DatasetIndex& index, const std::string& text) {
  if (index.format != DataFormat::kImageFolder) return;
  const auto found = [](std::int64_t bytes, const std::string& hash) {
    return fmt::format("{} bytes, xxh3 {}", bytes, hash);
  };
  if (const std::string hash = xxh3_hex(text); hash != index.images.xxh3)
    json_bad(kManifestFile, found(index.images.bytes, index.images.xxh3) + " as in the plan",
             found(static_cast<std::int64_t>(text.size()), hash));
  auto manifest = std::make_shared<ImageManifest>();
  try {
    *manifest = parse_manifest(text);
  } catch (const IoError& error) {
    throw IoError(std::string(kManifestFile) + ": " + error.what());
  }
  const auto agree = [](std::size_t count, std::int64_t expected) {
    return static_cast<std::int64_t>(count) == expected;
  };
  if (!agree(manifest->classes.size(), index.classes) || !agree(manifest->train.size(), index.train_count) ||
      !agree(manifest->test.size(), index.test_count))
    json_bad(kManifestFile, "the counts of the plan",
             fmt::format("{} classes, {} training and {} test files", manifest->classes.size(), manifest->train.size(),
                         manifest->test.size()));
  index.images.manifest = std::move(manifest);
}

}  // namespace regatta
