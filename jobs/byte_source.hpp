#pragma once
// A data file's bytes: read front to back, hashed as they lie on disk, unpacked. Gzip is recognised by its content.

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/hash.hpp"
#include "jobs/data_file.hpp"

namespace regatta {

/// Holds a piece of the file at a time, and hashes each byte as it is read, so that what is hashed is what is decoded.
/// One thread. Every failure is a DataError with the path, the position, what was expected and found, and what to do.
class ByteSource {
 public:
  explicit ByteSource(std::filesystem::path path);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  const std::filesystem::path& path() const { return file_.path(); }
  std::int64_t bytes() const { return file_.bytes(); }  ///< on disk
  std::int64_t position() const { return position_; }   ///< decoded bytes handed out so far
  /// Of the bytes on disk. Reads the rest of the file: nothing can be read from here on.
  std::string xxh3();
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
  /// Makes at least `count` bytes of the file available, fewer at its end; says how many there are.
  std::size_t fetch(std::size_t count);
  bool at_gzip_header();
  std::int64_t inflate_some(std::uint8_t* out, std::int64_t count);
  /// Starts the next gzip member, if there is one.
  bool next_member();

  DataFile file_;
  Xxh3 hash_;
  std::vector<std::uint8_t> piece_;  // as on disk; [begin_, end_) is still to be decoded
  std::size_t begin_ = 0, end_ = 0;
  std::int64_t fetched_ = 0;   // from disk
  std::int64_t position_ = 0;  // decoded
  bool gzip_ = false, ended_ = false;
  z_stream stream_{};
};

/// Lets `decode` read the file, and throws "changed after it was indexed" unless it has this hash: also where `decode`
/// fails, because then that is why.
void decode_unchanged(const std::filesystem::path& path, const std::string& xxh3,
                      const std::function<void(ByteSource&)>& decode);

}  // namespace regatta
