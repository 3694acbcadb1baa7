#include "coordinator/slots.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"

namespace regatta {

namespace {

fs::path lock_path(const fs::path& folder, const std::string& name) {
  return folder / (name + ".lock");
}

[[noreturn]] void fail(const char* doing, const fs::path& path, int descriptor) {
  const std::string reason = errno_text(errno);
  if (descriptor >= 0) ::close(descriptor);
  throw IoError(std::string(doing) + " " + path.string() + ": " + reason);
}

}  // namespace

std::optional<SlotLock> SlotLock::try_take(const fs::path& folder, const std::string& name, const SlotHolder& holder) {
  fs::create_directories(folder);
  const fs::path path = lock_path(folder, name);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) fail("cannot open", path, descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) fail("cannot lock", path, descriptor);
    ::close(descriptor);
    return {};
  }
  const std::string words = Json{{"pid", holder.pid}, {"job", holder.job}, {"since", holder.since}}.dump() + "\n";
  if (::ftruncate(descriptor, 0) != 0 || ::write(descriptor, words.data(), words.size()) < 0)
    fail("cannot write", path, descriptor);
  return SlotLock(descriptor);
}

SlotLock::SlotLock(SlotLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

SlotLock& SlotLock::operator=(SlotLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

SlotLock::~SlotLock() {
  // The file stays: removing it would let two holders lock two files of one name.
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::optional<SlotHolder> slot_holder(const fs::path& folder, const std::string& name) {
  try {
    const Json words = parse_json(read_file(lock_path(folder, name), 4096), "lock");
    return SlotHolder{json_get<long>(words, "pid"), json_get<std::string>(words, "job"),
                      json_get<std::string>(words, "since")};
  } catch (const IoError&) {
    return {};
  }
}

std::string waiting_words(const std::string& pool, const std::optional<SlotHolder>& holder) {
  const std::string whom =
      holder ? "job " + holder->job + " (pid " + std::to_string(holder->pid) + ", since " + holder->since + ")"
             : std::string("another regatta run");
  return "pool " + pool + ": waiting for " + whom + "; --contended runs beside it";
}

}  // namespace regatta
