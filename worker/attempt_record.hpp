#pragma once
// What rank 0 writes about an attempt, from its first line to its last: journal, link, result, and its own log.

#include <memory>
#include <optional>
#include <string>

#include "worker/journal.hpp"
#include "worker/link_client.hpp"
#include "worker/rank_log.hpp"
#include "worker/run_folder.hpp"
#include "worker/trainer.hpp"
#include "worker/weights.hpp"

namespace regatta {

/// Rank 0 only, trainer thread only. References must outlive it.
class AttemptRecord {
 public:
  /// Opens the journal and, where a coordinator listens, the link. Throws IoError.
  AttemptRecord(const Plan& plan, const RunFolder& folder, SteadyTime process_start, RankLog& log);

  Journal& journal() { return journal_; }
  /// result.json, then the stop line. Throws IoError.
  void close(const TrainingResult& result, const std::string& message, const std::optional<WeightsFile>& weights);
  /// The same for an attempt that failed, with what the journal knows so far; what cannot be written is left out.
  void close_failed(ExitCode code, const std::string& message) noexcept;

 private:
  void heard(const RecordBody& body);

  const Plan& plan_;
  const RunFolder folder_;
  const SteadyTime process_start_;
  RankLog& log_;
  TrainingResult so_far_;  // as the journal's lines tell
  LinkClient link_;
  Journal journal_;
};

}  // namespace regatta
