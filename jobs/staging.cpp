#include "jobs/staging.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/host.hpp"
#include "jobs/data_file.hpp"
#include "jobs/image_manifest.hpp"
#include "jobs/parallel.hpp"

namespace regatta {

namespace fs = std::filesystem;

namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kPieceBytes = 1 << 20;
constexpr int kMostThreads = 8;  // a network file system answers several at once, and a disk is not helped by more
constexpr Duration kLeastPatience = 10s;
constexpr int kOwnReadings = 4;  // looks for what is there, looks again with the lock, copies, reads the copy
constexpr std::int64_t kBytesPerFile = 25'000;  // opening a small file on a network file system may take 5 ms
constexpr double kMostPart = 0.5, kFreePart = 0.05;

struct StagedFile {
  fs::path source, target;
  std::int64_t bytes = 0;
  std::string xxh3;
};

/// `root`: where they are to lie.
std::vector<StagedFile> files_of(const DatasetIndex& index, const DatasetIndex& there, const fs::path& root) {
  std::vector<StagedFile> files;
  for (std::size_t i = 0; i < index.files.size(); ++i)
    files.push_back({index.files[i].path, there.files[i].path, index.files[i].bytes, index.files[i].xxh3});
  REGATTA_ENSURE(index.format != DataFormat::kImageFolder || index.images.manifest,
                 "an image folder without a manifest");
  const ImageManifest none, &manifest = index.images.manifest ? *index.images.manifest : none;
  for (const auto* split : {&manifest.train, &manifest.test})
    for (const ImageEntry& entry : *split)
      files.push_back({index.images.folder / manifest.path(entry), there.images.folder / manifest.path(entry),
                       static_cast<std::int64_t>(entry.bytes), to_hex(entry.xxh3)});
  for (const StagedFile& file : files)  // a plan may come from anywhere
    if (const fs::path within = file.target.lexically_relative(root); within.empty() || *within.begin() == "..")
      throw DataError("data: expected a file in its folder, found " + escaped_name(file.target.string()));
  return files;
}

bool is_right(const StagedFile& file) {
  std::error_code none;
  const auto bytes = fs::file_size(file.target, none);
  if (none || bytes != static_cast<std::uintmax_t>(file.bytes)) return false;
  try {
    return xxh3_file_hex(file.target) == file.xxh3;
  } catch (const DataError&) {
    return false;
  }
}

[[noreturn]] void cannot_write(const fs::path& path, int error) {
  throw DataError("cannot write " + path.string() + ": " + errno_text(error) +
                  "\n  set REGATTA_STAGE to a folder of this node with room, or write data.stage: none");
}

/// Under its own name only when it is right.
void copy_file(const StagedFile& file) {
  const DataFile source(file.source);
  fs::path part = file.target;
  part += ".part";
  std::error_code error;
  fs::create_directories(part.parent_path(), error);
  const int out = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (out < 0) cannot_write(part, errno);
  const auto give_up = [&](int because) {
    ::close(out);
    ::unlink(part.c_str());
    cannot_write(part, because);
  };
  Xxh3 hash;
  std::vector<std::uint8_t> piece(
      static_cast<std::size_t>(std::min(kPieceBytes, std::max<std::int64_t>(file.bytes, 1))));
  std::int64_t at = 0;
  for (;;) {
    const std::int64_t got = source.read_at(at, piece.data(), static_cast<std::int64_t>(piece.size()));
    if (got == 0) break;
    hash.add(piece.data(), static_cast<std::size_t>(got));
    for (std::int64_t done = 0; done < got;) {
      const ssize_t wrote = ::write(out, piece.data() + done, static_cast<std::size_t>(got - done));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) give_up(errno);
      done += wrote;
    }
    at += got;
  }
  if (::close(out) != 0) cannot_write(part, errno);
  if (at != file.bytes || hash.hex() != file.xxh3) {
    ::unlink(part.c_str());
    fail_changed(file.source, fmt::format("{} bytes, xxh3 {}", file.bytes, file.xxh3),
                 fmt::format("{} bytes, xxh3 {}", at, hash.hex()));
  }
  if (::rename(part.c_str(), file.target.c_str()) != 0) cannot_write(file.target, errno);
}

/// Each entry below; what another job removes meanwhile ends the walk early and is no error.
template <class Use>
void for_entries(const fs::path& folder, const Use& use) {
  std::error_code gone;
  for (fs::recursive_directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone)) use(*at);
}

std::int64_t bytes_under(const fs::path& folder) {
  std::int64_t bytes = 0;
  for_entries(folder, [&](const fs::directory_entry& entry) {
    std::error_code gone;
    const auto size = entry.is_regular_file(gone) ? entry.file_size(gone) : 0;
    if (!gone) bytes += static_cast<std::int64_t>(size);
  });
  return bytes;
}

/// Oldest first.
std::vector<std::string> other_datasets(const fs::path& folder, const std::string& key) {
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.is_directory(error) && entry.path().filename() != key)
      found.emplace_back(fs::last_write_time(entry.path().string() + ".lock", error), entry.path().filename());
  std::sort(found.begin(), found.end());
  std::vector<std::string> keys;
  for (const auto& [when, name] : found) keys.push_back(name);
  return keys;
}

std::string readable_size(std::int64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

/// Removes others' datasets until `needed` more bytes keep the bounds.
void make_room(const fs::path& folder, const std::string& key, std::int64_t needed, const StageSpaceOf& space) {
  const auto room = [&] {
    const StageSpace now = space(folder);
    const auto total = static_cast<double>(now.total);
    return std::min(now.free - static_cast<std::int64_t>(kFreePart * total),
                    static_cast<std::int64_t>(kMostPart * total) - bytes_under(folder));
  };
  std::int64_t found = room();
  for (const std::string& other : other_datasets(folder, key)) {
    if (found >= needed) return;
    StageLock lock(folder / (other + ".lock"));
    if (!lock.take(0s)) continue;  // somebody reads it
    std::error_code error;
    fs::remove_all(folder / other, error);
    found = room();
  }
  if (found < needed)
    throw DataError(
        fmt::format("{}: expected room for {} more, found {} (of staged data half of the file system at most, "
                    "a twentieth of it stays free)\n  set REGATTA_STAGE to a folder of this node with more "
                    "room, or write data.stage: none",
                    folder.string(), readable_size(needed), readable_size(std::max<std::int64_t>(found, 0))));
}

/// Somebody else's folder in /tmp could give us any data, or take ours.
void make_own_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  struct stat found {};
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) cannot_write(folder, errno);
  if (::lstat(folder.c_str(), &found) != 0) cannot_write(folder, errno);
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    throw DataError(folder.string() +
                    ": expected a folder that this user alone may write to, found another\n  remove it, or set "
                    "REGATTA_STAGE to a folder of this node");
}

std::vector<const StagedFile*> wrong_ones(const std::vector<StagedFile>& files) {
  std::vector<std::atomic<bool>> wrong(files.size());
  in_parallel(static_cast<std::int64_t>(files.size()), std::min(usable_cores(), kMostThreads), [&] {
    return [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        wrong[i] = !is_right(files[i]);
    };
  });
  std::vector<const StagedFile*> found;
  for (std::size_t i = 0; i < files.size(); ++i)
    if (wrong[i]) found.push_back(&files[i]);
  return found;
}

void copy_files(const std::vector<const StagedFile*>& files) {
  in_parallel(static_cast<std::int64_t>(files.size()), std::min(usable_cores(), kMostThreads), [&] {
    return [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) copy_file(*files[static_cast<std::size_t>(i)]);
    };
  });
}

void remove_parts(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> parts;
  for_entries(folder, [&](const fs::directory_entry& entry) {
    if (entry.path().extension() == ".part") parts.push_back(entry.path());
  });
  for (const auto& part : parts) fs::remove(part, error);
}

}  // namespace

fs::path stage_folder(const std::function<const char*(const char*)>& get) {
  for (const char* name : {"REGATTA_STAGE", "SLURM_TMPDIR", "TMPDIR"})
    if (const char* folder = get(name); folder != nullptr && *folder != '\0')
      return fs::absolute(folder) / fmt::format("regatta-stage-{}", ::geteuid());
  return fs::path("/tmp") / fmt::format("regatta-stage-{}", ::geteuid());
}

fs::path stage_folder() {
  return stage_folder([](const char* name) { return std::getenv(name); });
}

std::int64_t bytes_to_stage(const DatasetIndex& index) {
  std::int64_t bytes = index.images.data_bytes;
  for (const auto& file : index.files) bytes += file.bytes;
  return bytes;
}

namespace {

Duration reading_time(const DatasetIndex& index) {
  return reading_allowance(bytes_to_stage(index) + kBytesPerFile * index.images.count);
}

}  // namespace

Duration stage_patience(const DatasetIndex& index) {
  return kLeastPatience + reading_time(index);
}

Duration stage_allowance(const DatasetIndex& index) {
  return stage_patience(index) + kOwnReadings * reading_time(index);
}

DatasetIndex staged_index(DatasetIndex index, const fs::path& folder) {
  for (auto& file : index.files) file.path = folder / index.key / file.path.filename();
  if (index.format == DataFormat::kImageFolder) index.images.folder = folder / index.key;
  return index;
}

StageLock::StageLock(fs::path path) : path_(std::move(path)) {
  open();
}
StageLock::~StageLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}
StageLock::StageLock(StageLock&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

StageLock& StageLock::operator=(StageLock&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void StageLock::open() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor_ < 0) cannot_write(path_, errno);
}

bool StageLock::is_of_path() const {
  struct stat held {};
  struct stat found {};
  return ::fstat(descriptor_, &held) == 0 && ::stat(path_.c_str(), &found) == 0 && held.st_ino == found.st_ino &&
         held.st_dev == found.st_dev;
}

bool StageLock::share(Duration limit) {
  return lock(LOCK_SH, limit);
}
bool StageLock::take(Duration limit) {
  return lock(LOCK_EX, limit);
}

bool StageLock::lock(int kind, Duration limit) {
  const auto give_up = std::chrono::steady_clock::now() + limit;
  for (;;) {
    if (::flock(descriptor_, kind | LOCK_NB) == 0) {
      if (is_of_path()) break;
      open();  // who sweeps /tmp has removed the file: whoever came next would lock another
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      throw DataError(
          fmt::format("data.stage: this node's folder cannot be locked: {}\n  set REGATTA_STAGE to a folder "
                      "on a disk of its own",
                      std::strerror(errno)));
    }
    if (std::chrono::steady_clock::now() >= give_up) return false;
    std::this_thread::sleep_for(20ms);
  }
  ::futimens(descriptor_, nullptr);  // used now
  return true;
}

StageSpace stage_space(const fs::path& folder) {
  struct statvfs found {};
  if (::statvfs(folder.c_str(), &found) != 0) cannot_write(folder, errno);
  const auto block = static_cast<std::int64_t>(found.f_frsize);
  return {static_cast<std::int64_t>(found.f_blocks) * block, static_cast<std::int64_t>(found.f_bavail) * block};
}

Staged stage_dataset(const DatasetIndex& index, const fs::path& folder, const StageSpaceOf& space, Duration patience) {
  if (!parse_hash(index.key)) throw DataError("data: expected a key of 32 hex digits, found " + index.key);
  make_own_folder(folder);
  const std::vector<StagedFile> files = files_of(index, staged_index(index, folder), folder / index.key);
  const fs::path lock_file = folder / (index.key + ".lock");
  Staged staged{.lock = StageLock(lock_file), .bytes = bytes_to_stage(index)};
  const auto held_too_long = [&] {
    throw DataError(
        fmt::format("{}: other runs stage the same data on this node, and have not ended for {:.0f} s\n  end "
                    "them, or set REGATTA_STAGE to another folder",
                    lock_file.string(), seconds(patience)));
  };
  Duration left = patience;
  const auto locked = [&](bool (StageLock::*kind)(Duration)) {
    const auto begin = std::chrono::steady_clock::now();
    if (!(staged.lock.*kind)(left)) held_too_long();
    left -= std::min<Duration>(left, std::chrono::steady_clock::now() - begin);
  };
  constexpr int kTries = 3;  // between two locks another run may remove what was just copied
  for (int i = 0; i < kTries; ++i) {
    locked(&StageLock::share);
    if (wrong_ones(files).empty()) return staged;
    locked(&StageLock::take);
    remove_parts(folder / index.key);
    const auto wrong = wrong_ones(files);  // another may have copied them meanwhile
    std::int64_t needed = 0;
    for (const StagedFile* file : wrong) {
      std::error_code error;
      fs::remove(file->target, error);
      needed += file->bytes;
    }
    make_room(folder, index.key, needed, space);
    copy_files(wrong);
    staged.copied_bytes += needed;
  }
  throw DataError(folder.string() +
                  ": what is staged there is removed or changed by somebody else\n  set REGATTA_STAGE "
                  "to another folder of this node");
}

Staged stage_dataset(const DatasetIndex& index, const fs::path& folder, const StageSpaceOf& space) {
  return stage_dataset(index, folder, space, stage_patience(index));
}

}  // namespace regatta
