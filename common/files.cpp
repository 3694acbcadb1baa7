#include "common/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/error.hpp"
#include "common/ids.hpp"

namespace regatta {

namespace {

[[noreturn]] void fail(const char* doing, const fs::path& path) {
  throw IoError(std::string(doing) + " " + path.string() + ": " + errno_text(errno));
}

void write_all(int descriptor, std::string_view content, const fs::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot write", path);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// Closes `descriptor`.
std::string read_all(int descriptor, const fs::path& path, std::size_t limit_bytes) {
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(descriptor, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || content.size() + static_cast<std::size_t>(got) > limit_bytes) {
      const int error = got < 0 ? errno : EFBIG;
      ::close(descriptor);
      errno = error;
      fail("cannot read", path);
    }
    if (got == 0) break;
    content.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(descriptor);
  return content;
}

}  // namespace

std::string read_file(const fs::path& path, std::size_t limit_bytes) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe's opening would wait
  if (descriptor < 0) fail("cannot open", path);
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    ::close(descriptor);
    throw IoError("cannot read " + path.string() + ": expected a regular file, found a pipe or a device");
  }
  return read_all(descriptor, path, limit_bytes);
}

std::string read_stream(const fs::path& path, std::size_t limit_bytes) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail("cannot open", path);
  return read_all(descriptor, path, limit_bytes);
}

void write_file_atomically(const fs::path& path, std::string_view content, unsigned mode) {
  const fs::path temporary = path.string() + ".tmp-" + new_ulid();
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (descriptor < 0) fail("cannot create", temporary);
  try {
    write_all(descriptor, content, temporary);
    if (::fsync(descriptor) != 0) fail("cannot fsync", temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail("cannot rename to", path);
  } catch (...) {
    ::close(descriptor);
    ::unlink(temporary.c_str());
    throw;
  }
  ::close(descriptor);
  sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

AppendFile::AppendFile(const fs::path& path, bool exclusive) : path_(path) {
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (exclusive ? O_EXCL : 0);
  descriptor_ = ::open(path.c_str(), flags, 0644);
  if (descriptor_ < 0) fail("cannot open", path);
  struct stat status {};
  if (::fstat(descriptor_, &status) == 0) size_ = status.st_size;
}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::append(std::string_view line) {
  if (broken_)
    throw IoError("cannot write " + path_.string() + ": the end of an earlier record could not be taken back");
  std::string record(line);
  record += '\n';
  try {
    write_all(descriptor_, record, path_);
    if (::fdatasync(descriptor_) != 0) fail("cannot fsync", path_);
  } catch (...) {
    take_back();
    throw;
  }
  size_ += static_cast<off_t>(record.size());
}

void AppendFile::take_back() {
  broken_ = ::ftruncate(descriptor_, size_) != 0;
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail("cannot open", folder);
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  errno = error;
  if (result != 0 && error != EINVAL) fail("cannot fsync", folder);  // EINVAL: file systems without folder fsync
}

}  // namespace regatta
