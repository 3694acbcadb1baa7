#pragma once
// The safetensors container (github.com/huggingface/safetensors, format of README): 8 bytes little-endian header
// length, a JSON header, then the tensors' bytes. Torch-free.

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace regatta {

struct TensorView {
  std::string name;
  std::string dtype;  ///< F64 | F32 | F16 | BF16 | I64
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< contiguous, row-major; owned by the caller or by the SafetensorsFile
};

/// Temporary file, fsync, rename. Throws IoError.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata);

/// A file read whole and checked: offsets in bounds, sizes that match shapes, no overlaps. Throws DataError.
struct SafetensorsFile {
  std::vector<std::byte> storage;
  std::vector<TensorView> tensors;  ///< in file order, pointing into `storage`
  std::map<std::string, std::string> metadata;
};
SafetensorsFile read_safetensors(const std::filesystem::path& path);

}  // namespace regatta
