#include "coordinator/slots.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"

namespace regatta {

namespace {

[[noreturn]] void fail(const char* doing, const fs::path& file, int descriptor) {
  const std::string reason = errno_text(errno);
  if (descriptor >= 0) ::close(descriptor);
  throw IoError(std::string(doing) + " " + file.string() + ": " + reason);
}

/// Every user may take it. Made with O_EXCL only, because Linux refuses to open somebody else's file in a sticky folder
/// when the call could also make one (fs.protected_regular).
int open_shared(const fs::path& file) {
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  constexpr mode_t kEverybody = 0666;
  for (;;) {
    int descriptor = ::open(file.c_str(), kFlags);
    if (descriptor >= 0) return descriptor;
    if (errno != ENOENT) fail("cannot open", file, descriptor);
    descriptor = ::open(file.c_str(), kFlags | O_CREAT | O_EXCL, kEverybody);
    if (descriptor < 0 && errno == EEXIST) continue;  // somebody else was quicker
    if (descriptor < 0 || ::fchmod(descriptor, kEverybody) != 0) fail("cannot make", file, descriptor);
    return descriptor;
  }
}

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

}  // namespace

std::optional<SlotLock> SlotLock::try_take(const fs::path& file, const SlotHolder& holder) {
  const int descriptor = open_shared(file);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) fail("cannot lock", file, descriptor);
    ::close(descriptor);
    return {};
  }
  const std::string words = Json{{"pid", holder.pid}, {"job", holder.job}, {"since", holder.since}}.dump() + "\n";
  if (::ftruncate(descriptor, 0) != 0 || ::write(descriptor, words.data(), words.size()) < 0)
    fail("cannot write", file, descriptor);
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

std::optional<SlotHolder> slot_holder(const fs::path& file) {
  try {
    const Json words = parse_json(read_file(file, 4096), "lock");
    return SlotHolder{json_get<long>(words, "pid"), printable(json_get<std::string>(words, "job")),
                      printable(json_get<std::string>(words, "since"))};
  } catch (const IoError&) {
    return {};
  }
}

fs::path slots_file() {
  const char* named = std::getenv("REGATTA_SLOTS");
  return named != nullptr && *named != '\0' ? fs::path(named) : fs::path("/dev/shm/regatta-slots.lock");
}

std::string waiting_words(const std::string& pool, const std::optional<SlotHolder>& holder) {
  const std::string whom =
      holder ? "job " + holder->job + " (pid " + std::to_string(holder->pid) + ", since " + holder->since + ")"
             : std::string("another regatta run");
  return "pool " + pool + ": waiting for " + whom + "; --contended runs beside it";
}

}  // namespace regatta
