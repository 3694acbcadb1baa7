#pragma once
// The files of an image folder, whole, one after the other: three system calls each and no allocation.

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace regatta {

/// Keeps the folder open, and one buffer. One thread. Errors are DataError without the file's name, which the caller
/// knows: "cannot open it: Permission denied".
class ImageFileReader {
 public:
  /// Throws DataError with the folder's name.
  explicit ImageFileReader(const std::filesystem::path& folder);
  ~ImageFileReader();
  ImageFileReader(const ImageFileReader&) = delete;
  ImageFileReader& operator=(const ImageFileReader&) = delete;

  /// The file at `path`, relative to the folder; valid until the next call. Never waits for the writer of a pipe.
  /// `expected_bytes`: its size, if that is known; of a larger file one byte more comes back.
  std::span<const std::uint8_t> read(const char* path, std::int64_t expected_bytes);
  std::span<const std::uint8_t> read(const char* path);

 private:
  std::span<const std::uint8_t> read_open(int file, std::int64_t expected_bytes);

  int folder_;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace regatta
