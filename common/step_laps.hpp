#pragma once
// What a rank's trainer thread did in some steps of an attempt: steps-<rank>.jsonl, which each rank writes once, when
// training has ended, whole or not at all.
//
// Grammar: JSON lines, the head first, then one line a step, in order:
//   {"schema": 1, "kind": "steps", "run_id": ULID, "attempt": 1.., "rank": 0.., "ranks": 1.., "host": text,
//    "exchanger": text, "bucket_bytes": [bytes, ...], "wall_minus_steady_ns": n, "last_step": n, "steps": lines below}
//   {"step": 1.., "begin_ns": n, "laps": [[activity, bucket, ns], ...], "after": [[activity, bucket, ns], ...]}
// Laps follow each other without a gap, from begin_ns on, so they cannot overlap and sum to the step's wall. `after`
// has what lay between this step and the next one: evaluation, the epoch's barrier. bucket -1: none. begin_ns counts on
// the steady clock, which all processes of a host share; wall_minus_steady_ns brings several hosts onto one time line
// as exactly as their wall clocks agree.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.hpp"
#include "common/time.hpp"

namespace regatta {

constexpr int kStepsSchema = 1;

/// What a trainer thread does, finer than Phase: each activity belongs to one phase.
enum class Activity {
  kData,      ///< waits for the loader's batch
  kForward,   ///< the loss's own number included
  kBackward,  ///< without what its hooks do
  kPublish,   ///< hands gradients to the others, inside backward
  kWait,      ///< for the others' gradients; over MPI the whole MPI_Allreduce
  kReduce,    ///< sums slices before clipping; otherwise summing is a part of apply
  kApply,     ///< sums and updates weights; inside backward where a bucket came early
  kMeet,      ///< waits until every rank has applied
  kSum,       ///< sums a few numbers over all ranks: batch norm, metrics, the norm
  kEvaluate,
  kBarrier,  ///< at the end of an epoch
  kOther
};
constexpr std::size_t kActivities = 12;
const char* to_text(
    Activity);  ///< data, forward, backward, publish, wait, reduce, apply, meet, sum, evaluate, barrier, other

/// One activity until the next one began.
struct ActivityLap {
  Activity activity = Activity::kOther;
  int bucket = -1;
  Duration time{};
  bool operator==(const ActivityLap&) const = default;
};

struct StepLaps {
  std::int64_t step = 0;  ///< since the start of the run, from 1
  Duration begin{};       ///< since the steady clock's epoch
  std::vector<ActivityLap> laps, after;
  Duration wall() const;  ///< of the step, without `after`
  Duration end() const;   ///< of `after`, since the steady clock's epoch
  bool operator==(const StepLaps&) const = default;
};

struct RankSteps {
  RunId run;
  int attempt = 1, rank = 0, ranks = 1;
  std::string host, exchanger;
  std::vector<std::int64_t> bucket_bytes;  ///< of gradients, by bucket
  Duration wall_minus_steady{};
  std::int64_t last_step = 0;  ///< of the attempt
  std::vector<StepLaps> steps;
  bool operator==(const RankSteps&) const = default;
};

/// steps-<rank>.jsonl
std::string steps_file_name(int rank);
/// The whole file.
std::string to_text(const RankSteps& steps);
/// Throws IoError "line N: ..." for text that is no such file: cut, foreign, of a newer schema, with numbers that no
/// clock counts or steps that overlap.
RankSteps rank_steps_from_text(std::string_view text);

}  // namespace regatta
