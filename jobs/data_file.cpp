#include "jobs/data_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "common/error.hpp"

namespace regatta {

namespace {

[[noreturn]] void fail_open(const char* doing, const std::filesystem::path& path, const std::string& why) {
  throw DataError(std::string(doing) + " " + path.string() + ": " + why +
                  "\n  check data.path and the file's permissions");
}

}  // namespace

DataFile::DataFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe's opening would wait
  if (descriptor_ < 0) fail_open("cannot open", path_, errno_text(errno));
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    fail_open("cannot read", path_,
              !known                    ? errno_text(errno)
              : S_ISDIR(status.st_mode) ? errno_text(EISDIR)
                                        : "expected a regular file, found a pipe or a device");
  }
  bytes_ = status.st_size;
  modified_ = status.st_mtim;
}

DataFile::~DataFile() {
  ::close(descriptor_);
}

std::int64_t DataFile::read_at(std::int64_t position, std::uint8_t* out, std::int64_t count) const {
  std::int64_t got = 0;
  while (got < count) {
    const ssize_t piece = ::pread(descriptor_, out + got, static_cast<std::size_t>(count - got), position + got);
    if (piece < 0 && errno == EINTR) continue;
    if (piece < 0) fail_open("cannot read", path_, errno_text(errno));
    if (piece == 0) break;
    got += piece;
  }
  return got;
}

void DataFile::expect_untouched(std::int64_t expected) const {
  struct stat now {};
  if (::fstat(descriptor_, &now) != 0) fail_open("cannot read", path_, errno_text(errno));
  if (now.st_size != expected)
    fail_changed(path_, std::to_string(expected) + " bytes", std::to_string(now.st_size) + " bytes");
  if (now.st_mtim.tv_sec != modified_.tv_sec || now.st_mtim.tv_nsec != modified_.tv_nsec)
    fail_changed(path_, "a file that nobody writes to", "a later time of modification");
}

void fail_changed(const std::filesystem::path& path, const std::string& expected, const std::string& found) {
  throw DataError(path.string() + ": changed after it was indexed: expected " + expected + ", found " + found +
                  "\n  leave the data alone while a run lasts, and start the run again");
}

}  // namespace regatta
