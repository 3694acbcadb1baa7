#pragma once
// A data file that stays open and is read at any place of it.

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <filesystem>

namespace regatta {

/// Owns the descriptor. Any number of threads may read. Every failure is a DataError with the path and what to do.
class DataFile {
 public:
  /// Opens a regular file; never waits for the writer of a pipe.
  explicit DataFile(std::filesystem::path path);
  ~DataFile();
  DataFile(const DataFile&) = delete;
  DataFile& operator=(const DataFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::int64_t bytes() const { return bytes_; }  ///< when it was opened

  /// Up to `count` bytes from `position` on; fewer only at the end of the file.
  std::int64_t read_at(std::int64_t position, std::uint8_t* out, std::int64_t count) const;

  /// Throws "changed after it was indexed" unless it has `expected` bytes, and was not written since it was opened.
  void expect_untouched(std::int64_t expected) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t bytes_ = 0;
  timespec modified_{};
};

/// "PATH: changed after it was indexed: expected EXPECTED, found FOUND\n  ADVICE"
[[noreturn]] void fail_changed(const std::filesystem::path& path, const std::string& expected,
                               const std::string& found);

}  // namespace regatta
