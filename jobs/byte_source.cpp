#include "jobs/byte_source.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "common/error.hpp"

namespace regatta {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::size_t kLeastPieceBytes = 4096;  // for files that grow, and for the two bytes of a gzip header
constexpr std::int64_t kDeflateLimit = 1032;    // zlib, technical details: deflate shrinks by 1032:1 at most
constexpr std::int64_t kZlibPiece = std::int64_t{1} << 30;  // zlib counts in 32 bits
const char* const kAgain = "the file is damaged or was not copied whole: fetch it again";

}  // namespace

ByteSource::ByteSource(std::filesystem::path path)
    : file_(std::move(path)),
      piece_(std::clamp(static_cast<std::size_t>(file_.bytes()), kLeastPieceBytes, kPieceBytes)) {
  gzip_ = at_gzip_header();
  if (!gzip_) return;
  constexpr int kGzip = 15 + 16;  // the largest window, gzip header and checksum
  const int result = inflateInit2(&stream_, kGzip);
  REGATTA_ENSURE(result == Z_OK || result == Z_MEM_ERROR, "zlib does not start");
  if (result == Z_MEM_ERROR) throw std::bad_alloc();
}

ByteSource::~ByteSource() {
  if (gzip_) inflateEnd(&stream_);
}

std::size_t ByteSource::fetch(std::size_t count) {
  if (end_ - begin_ >= count) return end_ - begin_;
  std::copy(piece_.begin() + static_cast<std::ptrdiff_t>(begin_), piece_.begin() + static_cast<std::ptrdiff_t>(end_),
            piece_.begin());
  end_ -= begin_;
  begin_ = 0;
  const std::int64_t got =
      file_.read_at(fetched_, piece_.data() + end_, static_cast<std::int64_t>(piece_.size() - end_));
  hash_.add(piece_.data() + end_, static_cast<std::size_t>(got));
  fetched_ += got;
  end_ += static_cast<std::size_t>(got);
  return end_ - begin_;
}

std::string ByteSource::xxh3() {
  do {
    begin_ = end_;
  } while (fetch(1) > 0);
  return hash_.hex();
}

bool ByteSource::at_gzip_header() {
  return fetch(2) >= 2 && piece_[begin_] == 0x1f && piece_[begin_ + 1] == 0x8b;
}

std::int64_t ByteSource::largest_decoded_bytes() const {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() / kDeflateLimit;
  return gzip_ ? std::min(bytes(), most) * kDeflateLimit : bytes();
}

void ByteSource::fail(std::int64_t position, const std::string& message, const std::string& advice) const {
  throw DataError(path().string() + ": byte " + std::to_string(position) + (gzip_ ? " of the unpacked file" : "") +
                  ": " + message + "\n  " + advice);
}

bool ByteSource::next_member() {
  if (fetch(1) == 0) return false;
  if (!at_gzip_header()) {
    const std::int64_t consumed = fetched_ - static_cast<std::int64_t>(end_ - begin_);
    throw DataError(path().string() + ": byte " + std::to_string(consumed) +
                    ": expected the end of the gzip data, found " + std::to_string(bytes() - consumed) +
                    " more bytes\n  " + kAgain);
  }
  REGATTA_ENSURE(inflateReset(&stream_) == Z_OK, "zlib does not start again");
  return true;
}

std::int64_t ByteSource::inflate_some(std::uint8_t* out, std::int64_t count) {
  stream_.next_out = out;
  stream_.avail_out = static_cast<uInt>(std::min(count, kZlibPiece));
  const uInt wanted = stream_.avail_out;
  while (stream_.avail_out > 0 && !ended_) {
    const std::size_t piece = fetch(1);
    stream_.next_in = piece_.data() + begin_;
    stream_.avail_in = static_cast<uInt>(piece);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    begin_ += piece - stream_.avail_in;
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
  while (got < count && !ended_) {
    std::int64_t piece = 0;
    if (gzip_) {
      piece = inflate_some(out + got, count - got);
    } else {
      piece = std::min(count - got, static_cast<std::int64_t>(fetch(1)));
      std::copy_n(piece_.begin() + static_cast<std::ptrdiff_t>(begin_), piece, out + got);
      begin_ += static_cast<std::size_t>(piece);
      ended_ = piece == 0;
    }
    got += piece;
    position_ += piece;
  }
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

void decode_unchanged(const std::filesystem::path& path, const std::string& xxh3,
                      const std::function<void(ByteSource&)>& decode) {
  ByteSource source(path);
  const auto compare = [&] {
    if (const std::string now = source.xxh3(); now != xxh3)
      fail_changed(path, "xxh3 " + xxh3, now + " (" + std::to_string(source.bytes()) + " bytes)");
  };
  try {
    decode(source);
  } catch (const DataError&) {
    compare();
    throw;
  }
  compare();
}

}  // namespace regatta
