#include "jobs/image_file_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "common/error.hpp"
#include "jobs/image_manifest.hpp"

namespace regatta {

namespace {

constexpr std::int64_t kMostFileBytes = std::int64_t{1} << 30;  // an uncompressed image of 100 megapixels is 300 MB

/// Closes on the way out.
struct Descriptor {
  int number;
  ~Descriptor() { ::close(number); }
};

int open_at(int folder, const char* path) {
  const int number = ::openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (number < 0) throw DataError("cannot open it: " + errno_text(errno));
  return number;
}

}  // namespace

ImageFileReader::ImageFileReader(const std::filesystem::path& folder)
    : folder_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (folder_ < 0)
    throw DataError("cannot open " + escaped_name(folder.string()) + ": " + errno_text(errno) + "\n  check data.path");
}

ImageFileReader::~ImageFileReader() {
  ::close(folder_);
}

std::span<const std::uint8_t> ImageFileReader::read(const char* path, std::int64_t expected_bytes) {
  const Descriptor file{open_at(folder_, path)};
  return read_open(file.number, expected_bytes);
}

std::span<const std::uint8_t> ImageFileReader::read(const char* path) {
  const Descriptor file{open_at(folder_, path)};
  struct stat status {};
  if (::fstat(file.number, &status) != 0) throw DataError("cannot read it: " + errno_text(errno));
  if (S_ISDIR(status.st_mode)) throw DataError("expected a file, found a folder");
  if (!S_ISREG(status.st_mode)) throw DataError("expected a regular file, found a pipe or a device");
  if (status.st_size > kMostFileBytes)
    throw DataError("expected a file of at most " + std::to_string(kMostFileBytes) + " bytes, found " +
                    std::to_string(status.st_size));
  return read_open(file.number, status.st_size);
}

std::span<const std::uint8_t> ImageFileReader::read_open(int file, std::int64_t expected_bytes) {
  const auto expected = static_cast<std::size_t>(expected_bytes);
  if (buffer_.size() <= expected) buffer_.resize(expected + 1);
  std::size_t got = 0;
  do {  // of a longer file the first call brings one byte more, so that the end need not be asked for
    const ssize_t piece = ::read(file, buffer_.data() + got, expected + 1 - got);
    if (piece < 0 && errno == EINTR) continue;
    if (piece < 0) throw DataError("cannot read it: " + errno_text(errno));
    if (piece == 0) break;
    got += static_cast<std::size_t>(piece);
  } while (got < expected);
  return {buffer_.data(), got};
}

}  // namespace regatta
