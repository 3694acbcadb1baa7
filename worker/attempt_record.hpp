#pragma once
// What rank 0 writes about an attempt, from its first line to its last: journal, link, result, and its own log.

#include <mutex>
#include <optional>
#include <string>

#include "worker/journal.hpp"
#include "worker/link_client.hpp"
#include "worker/rank_log.hpp"
#include "worker/run_folder.hpp"
#include "worker/trainer.hpp"
#include "worker/weights.hpp"

namespace regatta {

/// Rank 0 only. Trainer thread, but for `close_failed`: any thread. References must outlive it.
class AttemptRecord {
 public:
  /// Opens the journal and, where a coordinator listens, the link. Throws IoError.
  AttemptRecord(const Plan& plan, const RunFolder& folder, SteadyTime process_start, RankLog& log);

  Journal& journal() { return journal_; }
  /// result.json, then the stop line; nothing if that is there already. Throws IoError.
  void close(const TrainingResult& result, const std::string& message, const std::optional<WeightsFile>& weights);
  /// The same for an attempt that failed, with what the journal knows so far; what cannot be written is left out.
  void close_failed(ExitCode code, const std::string& message) noexcept;

 private:
  void heard(const RecordBody& body);

  const Plan& plan_;
  const RunFolder folder_;
  const SteadyTime process_start_;
  RankLog& log_;
  std::mutex mutex_;       // guards so_far_
  TrainingResult so_far_;  // as the journal's lines tell
  std::mutex ending_;      // one end at a time
  bool closed_ = false;
  LinkClient link_;
  Journal journal_;
};

/// How the watchdog's thread reaches the record: a wait that outlasts its deadline ends the process, and the journal
/// should say so. Must live until the process leaves when `say` gave up.
class LastWords {
 public:
  /// Null: no more. Returns when the other thread does not use the one before.
  void set(AttemptRecord* record);
  /// Any thread. Closes the record, if there is one, as failed. Gives up after two seconds: a disk that hangs must not
  /// keep a process that has to leave.
  void say(ExitCode code, const std::string& message);

 private:
  std::mutex mutex_;
  AttemptRecord* record_ = nullptr;
};

}  // namespace regatta
