#pragma once
// Timed runs never share slots: whoever measures holds a lock file, one for the machine, whatever home and whoever
// asks. flock, so the kernel frees it on death (see D-08).

#include <cstdint>
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

/// A place on the machine, from `try_take` or `join` until destruction.
class SlotLock {
 public:
  /// For a timed run: takes `file` and writes `holder` into it; nothing while another timed run or a guest is there.
  /// Throws IoError.
  static std::optional<SlotLock> try_take(const std::filesystem::path& file, const SlotHolder& holder);
  /// For a contended run: a guest, who never waits. Throws IoError.
  static SlotLock join(const std::filesystem::path& file, const SlotHolder& holder);
  ~SlotLock();
  SlotLock(SlotLock&& other) noexcept;
  SlotLock& operator=(SlotLock&& other) noexcept;

  /// Of a timed run: a guest runs beside it now.
  bool has_guest() const;
  /// Of a timed run: grows with each guest that comes.
  std::int64_t arrivals() const;

 private:
  SlotLock(int timed, int guests) : timed_(timed), guests_(guests) {}
  int timed_, guests_;  // two lock files: one for whoever is timed, one that guests share; -1: not held
};

/// Whom one waits for, fit for a terminal: another user may have written it. Nothing while it is empty or
/// unreadable.
std::optional<SlotHolder> slot_holder(const std::filesystem::path& file);

/// $REGATTA_SLOTS (for containers that share a machine but not its /dev/shm), else /dev/shm/regatta-slots.lock, which
/// no cleaner of old files visits and no network file system serves.
std::filesystem::path slots_file();

/// "pool here: waiting for job mnist-cnn (pid 4711, since 2025-07-01T12:00:00Z); --contended runs beside it"
std::string waiting_words(const std::string& pool, const std::optional<SlotHolder>& holder);

}  // namespace regatta
