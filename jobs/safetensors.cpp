#include "jobs/safetensors.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <optional>
#include <utility>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/host.hpp"
#include "common/json.hpp"

namespace regatta {

namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kHeaderLimit = 100'000'000;  // the reference implementation's
constexpr std::size_t kAlignment = 8;                // data begins on it: the header is padded with spaces
constexpr const char* kMetadata = "__metadata__";
constexpr std::array<std::pair<const char*, std::size_t>, 5> kTypes = {
    {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}}};

std::optional<std::size_t> bytes_of_type(const std::string& dtype) {
  for (const auto& [name, bytes] : kTypes)
    if (dtype == name) return bytes;
  return {};
}

/// Nothing for a negative size or a product beyond 64 bits.
std::optional<std::size_t> bytes_of(const std::string& dtype, const std::vector<std::int64_t>& shape) {
  auto bytes = bytes_of_type(dtype);
  for (const std::int64_t size : shape) {
    if (!bytes || size < 0) return {};
    if (size > 0 && *bytes > std::numeric_limits<std::size_t>::max() / static_cast<std::size_t>(size)) return {};
    *bytes *= static_cast<std::size_t>(size);
  }
  return bytes;
}

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& message) {
  throw DataError(path.string() + ": " + message +
                  "\n  the file is damaged or no safetensors file: take it from the run that wrote it again");
}

std::vector<std::byte> read_whole(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error)
    throw DataError(path.string() + ": cannot be read: " + error.message() + "\n  check the path and its permissions");
  if (size > static_cast<std::uintmax_t>(host_memory_bytes()))
    fail(path, "expected a file that fits the memory of this host, found " + std::to_string(size) + " bytes");
  std::vector<std::byte> storage(size);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(storage.data()), static_cast<std::streamsize>(size));
  if (!file || file.gcount() != static_cast<std::streamsize>(size)) fail(path, "cannot be read whole");
  return storage;
}

/// The header as JSON, and where the data begins.
std::pair<Json, std::size_t> read_header(const std::filesystem::path& path, std::span<const std::byte> file) {
  if (file.size() < kLengthBytes)
    fail(path, "byte 0: expected 8 bytes of header length, found " + std::to_string(file.size()));
  std::uint64_t length = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) length = length << 8 | std::to_integer<std::uint64_t>(file[i]);
  if (length > kHeaderLimit || length > file.size() - kLengthBytes)
    fail(path, "byte 0: expected a header that fits into the file's " + std::to_string(file.size()) +
                   " bytes, found a length of " + std::to_string(length));
  const auto text = file.subspan(kLengthBytes, static_cast<std::size_t>(length));
  try {
    Json header = parse_json({reinterpret_cast<const char*>(text.data()), text.size()}, "header");
    if (!header.is_object()) throw IoError(std::string("header: expected an object, found ") + header.type_name());
    return {std::move(header), kLengthBytes + text.size()};
  } catch (const IoError& error) {
    fail(path, std::string("byte 8: ") + error.what());
  }
}

struct Extent {
  std::size_t begin = 0, end = 0;
};

std::vector<std::uint64_t> unsigned_list(const Json& json, const char* key) {
  const Json& list = json_at(json, key);
  if (!list.is_array()) throw IoError(std::string(key) + ": expected a list, found " + list.dump());
  std::vector<std::uint64_t> numbers;
  for (const Json& number : list) {
    if (!number.is_number_unsigned() || number.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
      throw IoError(std::string(key) + ": expected numbers of 63 bits, found " + number.dump());
    numbers.push_back(number.get<std::uint64_t>());
  }
  return numbers;
}

/// One entry of the header against `data`. Throws IoError without the tensor's name.
std::pair<TensorView, Extent> read_entry(const Json& entry, std::span<const std::byte> data) {
  TensorView tensor;
  tensor.dtype = json_get<std::string>(entry, "dtype");
  if (!bytes_of_type(tensor.dtype))
    throw IoError("dtype: expected F64, F32, F16, BF16 or I64, found \"" + tensor.dtype + "\"");
  for (const std::uint64_t size : unsigned_list(entry, "shape"))
    tensor.shape.push_back(static_cast<std::int64_t>(size));
  const auto offsets = unsigned_list(entry, "data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size())
    throw IoError("data_offsets: expected [begin, end] within " + std::to_string(data.size()) +
                  " bytes of data, found " + json_at(entry, "data_offsets").dump());
  const auto expected = bytes_of(tensor.dtype, tensor.shape);
  if (!expected || *expected != offsets[1] - offsets[0])
    throw IoError("expected " + (expected ? std::to_string(*expected) : "more than 2^64") + " bytes for " +
                  tensor.dtype + " " + json_at(entry, "shape").dump() + ", found " +
                  std::to_string(offsets[1] - offsets[0]));
  tensor.bytes = data.subspan(offsets[0], offsets[1] - offsets[0]);
  return {std::move(tensor), Extent{offsets[0], offsets[1]}};
}

std::map<std::string, std::string> read_metadata(const Json& json) {
  if (!json.is_object()) throw IoError(std::string("expected an object of texts, found ") + json.type_name());
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : json.items()) metadata[key] = json_get<std::string>(json, key.c_str());
  return metadata;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::size_t offset = 0;
  for (const TensorView& tensor : tensors) {
    REGATTA_ENSURE(!header.contains(tensor.name) && tensor.name != kMetadata, "two tensors named " + tensor.name);
    REGATTA_ENSURE(bytes_of(tensor.dtype, tensor.shape) == tensor.bytes.size(),
                   "a tensor whose bytes and shape disagree: " + tensor.name);
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.append((kAlignment - (kLengthBytes + text.size()) % kAlignment) % kAlignment, ' ');
  std::string content;
  content.reserve(kLengthBytes + text.size() + offset);
  for (std::size_t i = 0; i < kLengthBytes; ++i) content += static_cast<char>(text.size() >> (8 * i) & 255);
  content += text;
  for (const TensorView& tensor : tensors)
    content.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  write_file_atomically(path, content);
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  SafetensorsFile file;
  file.storage = read_whole(path);
  const auto [header, data_begin] = read_header(path, file.storage);
  const auto data = std::span<const std::byte>(file.storage).subspan(data_begin);
  std::vector<std::pair<TensorView, Extent>> entries;
  for (const auto& [name, entry] : header.items()) {
    try {
      if (name == kMetadata) {
        file.metadata = read_metadata(entry);
        continue;
      }
      entries.push_back(read_entry(entry, data));
      entries.back().first.name = name;
    } catch (const IoError& error) {
      fail(path, "header: " + name + ": " + error.what());
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.begin, a.second.end) < std::pair(b.second.begin, b.second.end);
  });
  // The format wants the tensors to tile the data: no overlap, no bytes that belong to nobody.
  std::size_t at = 0;
  for (auto& [tensor, extent] : entries) {
    if (extent.begin != at)
      fail(path, "header: " + tensor.name + ": expected its data at byte " + std::to_string(at) +
                     " of the data, found " + std::to_string(extent.begin));
    at = extent.end;
    file.tensors.push_back(std::move(tensor));
  }
  if (at != data.size())
    fail(path, "expected " + std::to_string(at) + " bytes of data, found " + std::to_string(data.size()));
  return file;
}

}  // namespace regatta
