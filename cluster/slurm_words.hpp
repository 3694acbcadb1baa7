#pragma once
// What Slurm's commands say, as values. Pure; tests feed them what Slurm 22.05 really printed.
//
// The commands run with TZ=UTC and without SLURM_TIME_FORMAT, so that "2026-11-22T04:35:12" is UTC.

#include <optional>
#include <string>
#include <vector>

#include "common/time.hpp"

namespace regatta {

/// One job as `scontrol show job -o` or `sacct -P` shows it.
struct SlurmView {
  std::string id, name;
  std::string state;  ///< PENDING, RUNNING, COMPLETING, COMPLETED, FAILED, CANCELLED, TIMEOUT, ...: the first word
  std::string
      reason;         ///< of a pending job: Resources, Priority, ...; of an ended one: NonZeroExitCode, ...; else empty
  std::string nodes;  ///< as Slurm writes them: n[1-4]
  int restarts = 0;
  int exit_code = 0, exit_signal = 0;  ///< of the batch script: ExitCode=75:0
  /// Of a job that was requeued `submitted` is when it was, and `started` and `ended` belong to its next start.
  std::optional<Timestamp> submitted, started, ended, preempted;
};

/// Nothing when the text has no job. Throws IoError naming the field for one that is damaged.
std::optional<SlurmView> parse_scontrol_job(const std::string& text);
/// The last line of `sacct -P -n -X -D -o kSacctFields`; earlier ones are earlier starts of the same job.
std::optional<SlurmView> parse_sacct(const std::string& text);
inline constexpr const char* kSacctFields = "JobID,JobName,State,ExitCode,Submit,Start,End,NodeList";

/// A line of `squeue -h -o "%i|%T|%j"`.
struct SlurmListed {
  std::string id, state, name;
};
std::vector<SlurmListed> parse_squeue(const std::string& text);

/// The job's number in what `sbatch --parsable` said, warnings among it; nothing without one.
std::optional<std::string> parse_sbatch(const std::string& text);

/// It has ended and its nodes are free again.
bool is_over(const SlurmView& view);
/// It may hold nodes, or is about to: neither waiting nor over.
bool holds_nodes(const SlurmView& view);

/// Slurm refused for good ("Invalid partition name specified"), rather than not answering: asking again is no use.
bool is_refusal(const std::string& said);
/// Slurm answered that it has no such job.
bool is_unknown_job(const std::string& said);
/// Slurm's own words without its "sbatch: error: " and the like, each line once.
std::string slurm_error_words(const std::string& said);

/// Of a job that never had nodes: somebody took it out of the queue.
inline constexpr const char* kCancelledInQueue = "Slurm: cancelled (scancel) while it was queued";
/// Why an ended job ended, for people: "Slurm: the time limit", ...; empty where the job's own exit code says all.
std::string slurm_ending(const SlurmView& view);

/// What srun's output says of the rank that ended first: "rank 2 on n3: Killed"; empty when it says nothing.
std::string first_srun_error(const std::string& log);

}  // namespace regatta
