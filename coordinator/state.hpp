#pragma once
// What the ledger says, as a fold over its events. Replaying twice gives the same state.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/bill.hpp"
#include "common/ids.hpp"
#include "common/price.hpp"
#include "common/records.hpp"
#include "coordinator/event.hpp"
#include "jobs/choice.hpp"

namespace regatta {

enum class RunStatus { kWaiting, kRunning, kDone, kStopped, kFailed, kLost, kCancelled, kRefused };
const char* to_text(RunStatus);

/// Who may append for a run: checked in the transaction of each append.
struct Owner {
  std::string host, boot_id;
  std::int64_t pid = 0, start_time = 0;  ///< start_time in clock ticks since boot, from /proc/PID/stat
  std::int64_t fence = 0;
  bool operator==(const Owner&) const = default;
};
Json to_json(const Owner&);  ///< the body of an `owner` event
Owner owner_from_json(const Json&);

/// {"total_usd": "0.01", "parts": {"startup": "0.001", ...}}; amounts are decimal text (see D-01).
Json to_json(const Bill&);
/// Throws IoError naming the key, or saying that the parts do not sum to the total.
Bill bill_from_json(const Json&);

/// An attempt's job in a batch system, by that system's clock.
struct JobState {
  std::string name;              ///< by which it is found again
  std::string id, state, nodes;  ///< id: empty until it is known
  std::optional<Timestamp> submitted_at, held_from, held_to;
};

struct AttemptState {
  int attempt = 1;
  std::vector<std::string> argv;
  std::optional<Timestamp> launched_at;
  std::optional<record::Start> start;
  std::optional<record::FirstStep> first_step;
  std::optional<record::Early> early;
  std::vector<record::Shares> shares;  ///< empty: equal, by rule
  std::vector<record::Epoch> epochs;
  std::optional<record::Heartbeat> heartbeat;  ///< the last one
  std::optional<record::Stop> stop;
  std::optional<Timestamp> started_at;      ///< of the journal's start line
  std::optional<Timestamp> last_line_at;    ///< of the journal
  std::int64_t last_seq = 0;                ///< of the journal; 0: no line yet
  std::optional<double> held_s, startup_s;  ///< from exit or lost; held_s says that the attempt's end is recorded
  std::optional<double> hold_s, queue_s;    ///< of a job: held but idle; waited for its nodes
  std::optional<JobState> job;              ///< of a batch system
  bool lost = false;                        ///< by a lost event: nobody saw its exit
  std::optional<int> exit_code, signal;
  std::vector<std::string> faults;  ///< what was noticed before it ended, as it was noticed
  bool asked_to_stop = false;       ///< by Ctrl-C and its like, before it ended
  std::string exit_reason, exit_message;
};

struct RunState {
  RunId id;
  std::optional<ComparisonId> comparison;
  std::string configuration, pool, backend, run_dir, precision, dataset_key;
  int repeat = 1, order = 0;  ///< order: the row's place in the job file
  int nodes = 1, ranks = 1, threads = 1, cores_per_node = 1;
  int gpus_per_node = 0;  ///< of a run on GPUs
  int cpu_ranks = 0;      ///< the last of `ranks`, on cores beside those on GPUs
  bool contended = false;
  std::optional<Price> price;
  Json training;                 ///< TrainingSpec as JSON
  std::int64_t test_count = 0;   ///< samples behind each test_accuracy; 0: not recorded
  std::optional<Choice> choice;  ///< how `auto` was decided; nothing: nothing was open
  RunStatus status = RunStatus::kWaiting;
  std::optional<Owner> owner;
  std::vector<AttemptState> attempts;
  Json result;         ///< result.json, or null
  std::string reason;  ///< why it ended
  std::optional<Bill> bill;
  Timestamp created_at;
};

struct ComparisonState {
  ComparisonId id;
  std::string job_id, job_name, job_text;
  std::optional<std::string> cluster;  ///< text of the cluster file; nothing: this machine was the pool
  std::vector<std::string> argv;       ///< of `regatta run`, as typed
  Timestamp created_at;
  std::vector<RunId> runs;  ///< in order of creation
};

struct State {
  std::map<std::string, ComparisonState> comparisons;  ///< by id, so by time
  std::map<std::string, RunState> runs;
  std::vector<Event> unknown;  ///< kinds this version does not know: kept
};

/// Pure. Throws IoError naming seq and key for a body that is damaged.
void apply(State& state, const Event& event);

/// The runs of a comparison in the job file's order, then by repeat: as every command shows them.
std::vector<const RunState*> runs_of(const ComparisonState& comparison, const State& state);

/// Its comparison is not in this ledger, or there is none: by hand, or imported from elsewhere.
bool is_alone(const RunState& run, const State& state);

/// The job's name as the run recorded it; empty where it did not.
std::string job_name(const RunState& run);

/// Ended: nothing more will be recorded but a price.
bool is_final(RunStatus status);

/// Everything of a run as JSON: what `show --json` prints. Every key is always there; what is not known is null.
Json to_json(const RunState& run);
/// A comparison with its runs.
Json to_json(const ComparisonState& comparison, const State& state);

}  // namespace regatta
