#pragma once
// The journal of an attempt: journal.jsonl, written by rank 0, each line durable before anybody is told.
//
// Grammar: one JSON object a line; a last line without its newline was torn by a crash and is ignored.
//   {"schema": 1, "run_id": ULID, "attempt": 1.., "seq": 1.., "at": RFC 3339, "type": T, ...body}
// seq counts lines from 1 without gaps. Unknown types and keys are kept by readers, never refused; a larger `schema`
// is. Money is decimal text, seconds are numbers, non-finite numbers are null.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/ids.hpp"
#include "common/json.hpp"
#include "common/money.hpp"
#include "common/time.hpp"

namespace regatta {

constexpr int kJournalSchema = 1;

/// Where a trainer thread's time goes. The lap clock partitions time into exactly these; no bucket is a remainder.
enum class Phase { kCompute, kDataWait, kExchange, kStragglerWait, kOptimizer, kEvaluation, kCheckpoint, kOther };
constexpr std::size_t kPhases = 8;
const char* to_text(Phase);  ///< compute, data_wait, exchange, straggler_wait, optimizer, evaluation, checkpoint, other

/// Seconds by phase, indexed by Phase.
struct PhaseSeconds {
  std::array<double, kPhases> values{};
  double& operator[](Phase phase) { return values[static_cast<std::size_t>(phase)]; }
  double operator[](Phase phase) const { return values[static_cast<std::size_t>(phase)]; }
  double sum() const;
  PhaseSeconds& operator+=(const PhaseSeconds&);
  PhaseSeconds& operator-=(const PhaseSeconds&);
};
Json to_json(const PhaseSeconds&);
PhaseSeconds phase_seconds_from_json(const Json&);

/// One rank as it stood at the start.
struct RankPlace {
  int rank = 0, local_rank = 0;
  std::string host;
  std::vector<int> cores;  ///< pinned to; empty: not pinned
  std::int64_t pid = 0;
};

namespace record {

struct Start {
  std::vector<RankPlace> ranks;
  std::string backend;  ///< mpi | nccl
  int threads = 1;      ///< per rank
  std::string precision, exchanger;
  std::string regatta, torch, mpi;  ///< versions; mpi is empty for one rank without a launcher
  /// data.stage: {"folder", "nodes", "bytes" of a node, "copied_bytes" to all, "seconds"}; null where nothing was
  /// staged.
  Json staged = nullptr;
  std::int64_t parameters = 0, gradient_bytes = 0;
  int buckets = 0;
  std::string bucket_plan_hash;  ///< agreed by all ranks
  std::string dataset_key;
  Json kernels = nullptr;  ///< what multiplies for linear layers, as plan.json takes it; null: not said
  Json lanes = nullptr;    ///< how sums over nodes are made, as plan.json takes it; null: none are
  std::optional<std::int64_t> micro_batch;  ///< samples that a rank computes at once; nothing: its whole part
  std::string weights_xxh3;                 ///< of the file that training starts from; empty: from the seed
  double startup_s = 0;                     ///< process start to this line
  std::vector<std::string> warnings;
};
struct FirstStep {
  double startup_s = 0;
};  ///< process start to the end of step 1
/// Of the first 20 steps, or fewer; of a trial (see Plan::trial) all of them.
struct Early {
  std::vector<double> losses;  ///< global mean
  std::vector<double> step_s;  ///< wall time on rank 0; only of a trial
};
/// Weights by rank that hold from a step on, written before any batch is made with them. With train.shares: measured
/// the first line has those of the plan, and one follows each time that rank 0 decided, also where it changed nothing.
struct Shares {
  int from_epoch = 1;
  std::int64_t from_step = 0;  ///< of the run, in from_epoch; 0: the epoch's first
  std::vector<std::int64_t> weights;
  std::vector<double> seconds_per_sample;  ///< by rank, as measured before: compute; 0: not known. Empty: not measured
};
struct Heartbeat {
  int epoch = 0;
  std::int64_t step = 0;  ///< steps done since the start of the run
  double loss = 0;        ///< global mean loss of the last step
  std::int64_t samples = 0;
  double node_seconds = 0;  ///< nodes x seconds since the process start
};
/// Wall time of single steps on rank 0, waiting for data and writing the journal included.
struct StepTimes {
  double median = 0, p99 = 0;  ///< seconds
};
/// Large tensors of one rank, as its allocator's cache counts them.
struct Memory {
  std::int64_t peak_bytes = 0;  ///< in use at once, at most
  std::int64_t held_bytes = 0;  ///< in use or kept for reuse, now
  std::int64_t blocks_reused = 0;
  std::int64_t blocks_made = 0;     ///< the kernel had to supply their memory
  std::int64_t returned_bytes = 0;  ///< given back to the kernel, in all
};
/// Why and when max_cost_usd ended a run: what it had cost when the ranks decided. What follows is billed too.
struct CostDecision {
  NanoUsd limit, accrued;
};
/// Ranks that the others waited for in an epoch.
struct Stragglers {
  std::vector<int> ranks;
  std::vector<std::string> hosts;  ///< theirs, each once
  double waited_s = 0;             ///< mean over the others
  std::optional<NanoUsd> cost;     ///< "cost_usd": of what the others held meanwhile; nothing without a price
};
struct Epoch {
  int epoch = 0;                               ///< from 1
  std::int64_t first_step = 0, last_step = 0;  ///< from 1, inclusive
  bool complete = true;
  std::int64_t samples = 0;
  double wall_s = 0;   ///< barrier to barrier, evaluation included
  double train_s = 0;  ///< without evaluation and checkpoint
  double train_loss = 0;
  std::optional<double> test_loss, test_accuracy;  ///< nothing when not evaluated
  double learning_rate = 0;                        ///< of its last step
  double samples_per_s = 0;                        ///< samples / train_s
  std::optional<StepTimes> step_s;
  PhaseSeconds seconds;  ///< mean over ranks
  std::string seconds_kind = "measured";
  double exchange_hidden_s = 0;
  std::int64_t bytes_exchanged = 0;                      ///< gradient bytes handed to collectives by one rank
  std::optional<std::int64_t> device_memory_peak_bytes;  ///< of tensors, on the rank that had most; nothing on CPUs
  Json energy_j = nullptr;               ///< {value, kind, error_pct, source}, or null where nothing measures
  std::optional<NanoUsd> cost;           ///< "cost_usd"; nothing without a price in the plan
  std::optional<Stragglers> stragglers;  ///< the key is there only when somebody was late
};
struct Stop {
  /// epochs | target_accuracy | target_loss | max_time | max_cost_usd | trial | signal | non_finite | error
  std::string reason;
  int exit_code = 0;
  std::string message;  ///< what went wrong; empty for a normal end
  int epochs = 0;       ///< complete ones
  std::int64_t steps = 0;
  double node_seconds = 0;
  std::optional<CostDecision> cost_decision;  ///< reason max_cost_usd
  std::optional<Memory> memory;               ///< of rank 0; nothing without the cache
};
/// A type this version does not know: kept as it came.
struct Unknown {
  std::string type;
  Json body;
};

}  // namespace record

using RecordBody = std::variant<record::Start, record::FirstStep, record::Early, record::Shares, record::Heartbeat,
                                record::Epoch, record::Stop, record::Unknown>;

struct JournalLine {
  RunId run_id;
  int attempt = 1;
  std::int64_t seq = 0;
  Timestamp at;
  RecordBody body;
};

/// "start", "first_step", "early", "shares", "heartbeat", "epoch", "stop"
std::string type_of(const RecordBody&);

/// One object, without newline.
Json to_json(const JournalLine&);
/// Throws IoError for anything that is no journal line of this schema.
JournalLine journal_line_from_json(const Json&);

/// All whole lines of a journal's text; a torn last line is ignored, a damaged line before it throws IoError with its
/// number. `consumed` (optional) gets the bytes of whole lines, so that a follower can go on from there.
std::vector<JournalLine> parse_journal(std::string_view text, std::size_t* consumed = nullptr);

}  // namespace regatta
