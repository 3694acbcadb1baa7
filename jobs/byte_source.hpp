#pragma once
// A data file's bytes: read once, hashed as they lie on disk, decoded front to back. Gzip is recognised by its content.

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace regatta {

/// Holds the file's bytes in memory, so that what is hashed is what is decoded. One thread.
/// Every failure is a DataError with the path, the position, what was expected and found, and what to do.
class ByteSource {
 public:
  explicit ByteSource(std::filesystem::path path);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::int64_t bytes() const { return static_cast<std::int64_t>(content_.size()); }  ///< on disk
  std::string xxh3() const;                                                          ///< of the bytes on disk
  std::int64_t position() const { return position_; }  ///< decoded bytes handed out so far
  /// No file of this size decodes to more: a header that promises more lies, and nothing need be allocated for it.
  std::int64_t largest_decoded_bytes() const;

  /// Up to `count` decoded bytes; fewer only at the end.
  std::int64_t read_some(std::uint8_t* out, std::int64_t count);
  /// Exactly `count` bytes of `what` ("the labels").
  void read(std::uint8_t* out, std::int64_t count, const std::string& what);
  /// The file ends here; `what` says which part came last.
  void expect_end(const std::string& what);

  /// Throws DataError "PATH: byte POSITION: MESSAGE\n  ADVICE".
  [[noreturn]] void fail(std::int64_t position, const std::string& message, const std::string& advice) const;

 private:
  std::int64_t inflate_some(std::uint8_t* out, std::int64_t count);
  /// Starts the next gzip member, if there is one.
  bool next_member();

  std::filesystem::path path_;
  std::string content_;
  std::int64_t position_ = 0;  // decoded
  std::size_t consumed_ = 0;   // of content_
  bool gzip_ = false, ended_ = false;
  z_stream stream_{};
};

}  // namespace regatta
