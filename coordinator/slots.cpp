#include "coordinator/slots.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/printable.hpp"

namespace regatta {

namespace {

[[noreturn]] void fail(const char* doing, const fs::path& file) {
  throw IoError(std::string(doing) + " " + file.string() + ": " + errno_text(errno) +
                "\n  $REGATTA_SLOTS names another lock file");
}

fs::path guests_file(const fs::path& file) {
  return file.string() + ".guests";
}

/// Every user may take it. Made with O_EXCL only, because Linux refuses to open somebody else's file in a sticky folder
/// when the call could also make one (fs.protected_regular).
int open_shared(const fs::path& file) {
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;  // anybody may have planted a pipe there
  constexpr mode_t kEverybody = 0666;
  for (;;) {
    int descriptor = ::open(file.c_str(), kFlags);
    if (descriptor >= 0) return descriptor;
    if (errno != ENOENT) fail("cannot open", file);
    descriptor = ::open(file.c_str(), kFlags | O_CREAT | O_EXCL, kEverybody);
    if (descriptor < 0 && errno == EEXIST) continue;  // somebody else was quicker
    if (descriptor < 0) fail("cannot make", file);
    ::fchmod(descriptor, kEverybody);  // past the umask
    return descriptor;
  }
}

bool lock_now(int descriptor, int how, const fs::path& file) {
  if (::flock(descriptor, how | LOCK_NB) == 0) return true;
  if (errno != EWOULDBLOCK && errno != EINTR) fail("cannot lock", file);
  return false;
}

void write_at_end(int descriptor, const std::string& words, const fs::path& file, bool from_empty) {
  if (from_empty && ::ftruncate(descriptor, 0) != 0) fail("cannot write", file);
  if (::lseek(descriptor, 0, SEEK_END) < 0 || ::write(descriptor, words.data(), words.size()) < 0)
    fail("cannot write", file);
}

std::string line_of(const SlotHolder& holder) {
  return Json{{"pid", holder.pid}, {"job", holder.job}, {"since", holder.since}}.dump() + "\n";
}

}  // namespace

SlotLock::SlotLock(SlotLock&& other) noexcept
    : timed_(std::exchange(other.timed_, -1)), guests_(std::exchange(other.guests_, -1)) {}

SlotLock& SlotLock::operator=(SlotLock&& other) noexcept {
  std::swap(timed_, other.timed_);
  std::swap(guests_, other.guests_);
  return *this;
}

SlotLock::~SlotLock() {
  // The files stay: removing one would let two holders lock two files of one name.
  if (timed_ >= 0) ::close(timed_);
  if (guests_ >= 0) ::close(guests_);
}

std::optional<SlotLock> SlotLock::try_take(const fs::path& file, const SlotHolder& holder) {
  SlotLock lock(open_shared(file), -1);
  if (!lock_now(lock.timed_, LOCK_EX, file)) return {};
  lock.guests_ = open_shared(guests_file(file));
  if (!lock_now(lock.guests_, LOCK_EX, guests_file(file))) return {};
  write_at_end(lock.timed_, line_of(holder), file, /*from_empty=*/true);
  write_at_end(lock.guests_, "", guests_file(file), /*from_empty=*/true);
  ::flock(lock.guests_, LOCK_UN);  // a later guest does not wait; arrivals() tells
  return lock;
}

SlotLock SlotLock::join(const fs::path& file, const SlotHolder& holder) {
  const fs::path guests = guests_file(file);
  SlotLock lock(-1, open_shared(guests));
  while (::flock(lock.guests_, LOCK_SH) != 0)  // at most for as long as try_take() looks
    if (errno != EINTR) fail("cannot lock", guests);
  write_at_end(lock.guests_, line_of(holder), guests, /*from_empty=*/false);
  return lock;
}

bool SlotLock::has_guest() const {
  if (::flock(guests_, LOCK_EX | LOCK_NB) != 0) return true;
  ::flock(guests_, LOCK_UN);
  return false;
}

std::int64_t SlotLock::arrivals() const {
  return ::lseek(guests_, 0, SEEK_END);
}

std::optional<SlotHolder> slot_holder(const fs::path& file) {
  const auto locked = [](const fs::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) return false;
    const bool taken = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0;
    ::close(descriptor);
    return taken;
  };
  // Guests hold theirs shared, so asking for it tells nothing; who is not kept off by a timed run waits for them.
  const fs::path path = locked(file) ? file : guests_file(file);
  try {
    if (!fs::is_regular_file(path)) return {};
    std::istringstream lines(read_file(path, 1 << 20));
    std::string last;
    for (std::string line; std::getline(lines, line);) last = line;
    const Json words = parse_json(last, "lock");
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
