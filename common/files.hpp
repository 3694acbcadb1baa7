#pragma once
// Files that survive a crash: a reader finds the old content or the new, never half of either.

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace regatta {

namespace fs = std::filesystem;

/// The whole file. Throws IoError with the path and the reason; refuses more than `limit_bytes`, pipes and devices.
std::string read_file(const fs::path& path, std::size_t limit_bytes = std::size_t{1} << 30);
/// The same for a file that a person named, which may be a pipe: waits for its writer.
std::string read_stream(const fs::path& path, std::size_t limit_bytes);

/// Writes a temporary sibling, fsyncs it, renames it over `path` and fsyncs the folder. Throws IoError.
void write_file_atomically(const fs::path& path, std::string_view content, unsigned mode = 0644);

/// Appends records, each durable before `append` returns, and leaves nothing of one that could not be appended, so that
/// a reader finds whole records only. One writer a file. Not copyable; closes on destruction.
class AppendFile {
 public:
  /// Opens or creates. `exclusive`: throws IoError when the file exists already.
  explicit AppendFile(const fs::path& path, bool exclusive = false);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// Writes `line` and a newline, then fdatasync. Throws IoError (disk full, for one) and takes back what was written;
  /// where that fails too, every later call throws without writing.
  void append(std::string_view line);

 private:
  void take_back();

  int descriptor_;
  fs::path path_;
  off_t size_ = 0;  // of the whole records
  bool broken_ = false;
};

/// fsync of a folder, so that entries made or renamed in it survive.
void sync_folder(const fs::path& folder);

}  // namespace regatta
