#include "jobs/byte_source.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"

namespace regatta {

namespace {

constexpr std::size_t kFileLimit = std::size_t{1} << 36;  // 64 GiB, far above any idx file that fits into memory
constexpr std::int64_t kDeflateLimit = 1032;              // zlib, technical details: deflate shrinks by 1032:1 at most
constexpr std::int64_t kZlibPiece = std::int64_t{1} << 30;  // zlib counts in 32 bits
const char* const kAgain = "the file is damaged or was not copied whole: fetch it again";

bool begins_gzip(const std::string& content, std::size_t at) {
  return content.size() >= at + 2 && content[at] == '\x1f' && content[at + 1] == '\x8b';
}

std::string content_of(const std::filesystem::path& path) {
  try {
    return read_file(path, kFileLimit);
  } catch (const IoError& error) {
    throw DataError(std::string(error.what()) + "\n  check data.path and the file's permissions");
  }
}

}  // namespace

ByteSource::ByteSource(std::filesystem::path path) : path_(std::move(path)), content_(content_of(path_)) {
  gzip_ = begins_gzip(content_, 0);
  if (!gzip_) return;
  constexpr int kGzip = 15 + 16;  // the largest window, gzip header and checksum
  const int result = inflateInit2(&stream_, kGzip);
  REGATTA_ENSURE(result == Z_OK || result == Z_MEM_ERROR, "zlib does not start");
  if (result == Z_MEM_ERROR) throw std::bad_alloc();
}

ByteSource::~ByteSource() {
  if (gzip_) inflateEnd(&stream_);
}

std::string ByteSource::xxh3() const {
  return xxh3_hex(content_);
}

std::int64_t ByteSource::largest_decoded_bytes() const {
  return gzip_ ? bytes() * kDeflateLimit : bytes();  // at most 2^36 x 1032: no overflow
}

void ByteSource::fail(std::int64_t position, const std::string& message, const std::string& advice) const {
  throw DataError(path_.string() + ": byte " + std::to_string(position) + (gzip_ ? " of the unpacked file" : "") +
                  ": " + message + "\n  " + advice);
}

bool ByteSource::next_member() {
  if (consumed_ == content_.size()) return false;
  if (!begins_gzip(content_, consumed_))
    throw DataError(path_.string() + ": byte " + std::to_string(consumed_) +
                    ": expected the end of the gzip data, found " + std::to_string(content_.size() - consumed_) +
                    " more bytes\n  " + kAgain);
  REGATTA_ENSURE(inflateReset(&stream_) == Z_OK, "zlib does not start again");
  return true;
}

std::int64_t ByteSource::inflate_some(std::uint8_t* out, std::int64_t count) {
  stream_.next_out = out;
  stream_.avail_out = static_cast<uInt>(std::min(count, kZlibPiece));
  const uInt wanted = stream_.avail_out;
  while (stream_.avail_out > 0 && !ended_) {
    const std::size_t piece = std::min(content_.size() - consumed_, static_cast<std::size_t>(kZlibPiece));
    stream_.next_in = reinterpret_cast<Bytef*>(content_.data()) + consumed_;  // zlib reads it only
    stream_.avail_in = static_cast<uInt>(piece);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    consumed_ += piece - stream_.avail_in;
    if (result == Z_STREAM_END) {
      ended_ = !next_member();
    } else if (result == Z_BUF_ERROR) {
      fail(position_ + (wanted - stream_.avail_out), "gzip: expected more data, found the end of the file", kAgain);
    } else if (result == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (result != Z_OK) {
      const std::string why = stream_.msg != nullptr ? stream_.msg : "damaged";
      fail(position_ + (wanted - stream_.avail_out), "gzip: expected deflated data, found damage: " + why, kAgain);
    }
  }
  return wanted - stream_.avail_out;
}

std::int64_t ByteSource::read_some(std::uint8_t* out, std::int64_t count) {
  std::int64_t got = 0;
  if (gzip_) {
    while (got < count && !ended_) {
      const std::int64_t piece = inflate_some(out + got, count - got);
      got += piece;
      position_ += piece;
    }
    return got;
  }
  got = std::min(count, bytes() - position_);
  std::copy_n(content_.data() + position_, got, out);
  position_ += got;
  return got;
}

void ByteSource::read(std::uint8_t* out, std::int64_t count, const std::string& what) {
  const std::int64_t begin = position_;
  const std::int64_t got = read_some(out, count);
  if (got < count)
    fail(begin + got, "expected " + std::to_string(count) + " bytes of " + what + ", found " + std::to_string(got),
         kAgain);
}

void ByteSource::expect_end(const std::string& what) {
  const std::int64_t end = position_;
  std::array<std::uint8_t, 1> extra{};
  if (read_some(extra.data(), 1) != 0)
    fail(end, "expected the end of the file after " + what + ", found more bytes",
         "the counts in the header are wrong, or something was appended: fetch it again");
}

}  // namespace regatta
