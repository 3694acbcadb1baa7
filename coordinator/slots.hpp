#pragma once
// Timed runs never share slots: whoever measures holds a lock file, one for the machine, whatever home and whoever
// asks. flock, so the kernel frees it on death.

#include <filesystem>
#include <optional>
#include <string>

namespace regatta {

/// Who holds it, for the one who waits.
struct SlotHolder {
  long pid = 0;
  std::string job, since;
  bool operator==(const SlotHolder&) const = default;
};

/// One lock, from `try_take` until destruction.
class SlotLock {
 public:
  /// Takes `file` and writes `holder` into it; nothing when somebody else has it. Throws IoError.
  static std::optional<SlotLock> try_take(const std::filesystem::path& file, const SlotHolder& holder);
  ~SlotLock();
  SlotLock(SlotLock&& other) noexcept;
  SlotLock& operator=(SlotLock&& other) noexcept;

 private:
  explicit SlotLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

/// What the lock file says, fit for a terminal: another user may have written it. Nothing while it is empty or
/// unreadable.
std::optional<SlotHolder> slot_holder(const std::filesystem::path& file);

/// $REGATTA_SLOTS (for containers that share a machine but not its /dev/shm), else /dev/shm/regatta-slots.lock, which
/// no cleaner of old files visits and no network file system serves.
std::filesystem::path slots_file();

/// "pool here: waiting for job mnist-cnn (pid 4711, since 2025-07-01T12:00:00Z); --contended runs beside it"
std::string waiting_words(const std::string& pool, const std::optional<SlotHolder>& holder);

}  // namespace regatta
