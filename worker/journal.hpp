#pragma once
// Rank 0's journal of an attempt: journal.jsonl, ranks.jsonl and the quick notice over the link.

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/files.hpp"
#include "common/link.hpp"
#include "common/records.hpp"

namespace regatta {

class LinkClient;

/// What one host's meters counted in an epoch; nothing where there is no meter.
struct HostJoules {
  std::optional<double> processors_j, boards_j;  ///< packages and memory; GPUs
  bool wants_boards = false;                     ///< its ranks train on GPUs
  std::string source;                            ///< which meters
};

/// ranks.jsonl: {"epoch", "rank", "host", "samples", "seconds": {...}, "wall_s", "exchange_hidden_s",
/// "device_memory_peak_bytes", "energy"}; one line a rank and epoch.
/// energy: {"processors_j", "boards_j", "wants_boards", "source"} of the host, in the line of its first rank; else
/// null.
struct RankEpoch {
  int epoch = 0, rank = 0;
  std::string host;
  std::int64_t samples = 0;
  double wall_s = 0;
  PhaseSeconds seconds;
  double exchange_hidden_s = 0;
  std::optional<std::int64_t> device_memory_peak_bytes = {};  ///< of tensors; nothing on a CPU
  std::optional<HostJoules> energy = {};                      ///< of the first rank of a host
};
Json to_json(const RankEpoch&);
RankEpoch rank_epoch_from_json(const Json&);

/// Rank 0 only. The trainer thread writes; only the stop line may also come from another thread, and no line follows
/// it. A line is durable when `write` returns; only then the link is told.
class Journal {
 public:
  /// Told of every line once it is durable, on the thread that wrote it.
  using Heard = std::function<void(const RecordBody&)>;

  /// Refuses a folder that has a journal already (IoError). `link` may be null, `heard` empty.
  Journal(std::filesystem::path attempt_dir, RunId run, int attempt, LinkClient* link, Heard heard = {});
  void write(const RecordBody& body);
  void write_ranks(const std::vector<RankEpoch>& rows);
  void progress(const Progress& progress);  ///< over the link only

 private:
  std::filesystem::path folder_;
  RunId run_;
  int attempt_;
  LinkClient* link_;
  Heard heard_;
  std::mutex mutex_;  // guards the files, the link and what follows
  std::int64_t seq_ = 0;
  bool stopped_ = false;
  AppendFile lines_, ranks_;
};

}  // namespace regatta
