#pragma once
// ledger.db: an append-only table of events in SQLite. WAL where the file system allows, DELETE journal on network file
// systems (said once). LEDGER.md has the schema.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/event.hpp"
#include "coordinator/state.hpp"

namespace regatta {

/// One connection; one thread. Throws IoError (SQLite's message translated, with the path).
class Ledger {
 public:
  /// Opens or creates; with kRead only what is there, for reading, also where nothing may be written. Refuses another
  /// application's file and a newer user_version.
  enum class Access { kRead, kWrite };
  explicit Ledger(const std::filesystem::path& file, Access access = Access::kWrite);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  /// Appends in one transaction; events that are there already (same run, attempt, source, source_seq) are passed over.
  /// source_seq 0 asks for the next free one of (run, attempt, source). Returns how many were new.
  /// With `as`: throws IoError, and appends nothing, when the latest owner event of one of the runs is not `as`
  /// (somebody adopted it: the fence rose). A run without an owner passes. Durable when it returns.
  int append(const std::vector<Event>& events, const std::optional<Owner>& as = {});

  /// All events with seq > after, in order.
  std::vector<Event> events(std::int64_t after = 0) const;
  std::vector<Event> events_of(const std::string& run_id) const;

  /// What was noticed when the file was made here: how it is journalled where WAL is not possible, or that it was empty
  /// beside runs. Empty otherwise.
  const std::string& notice() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Replay.
State load_state(const Ledger& ledger);

}  // namespace regatta
