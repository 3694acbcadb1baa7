#pragma once
// The batch script of a launch: what `regatta sbatch` prints and what is submitted. Pure.

#include <string>
#include <utility>
#include <vector>

#include "cluster/launcher.hpp"

namespace regatta {

/// Readable, whole: every option that Slurm is given stands in it. What a pool says is in `#SBATCH` lines only, and has
/// passed the checks below; paths are quoted.
std::string slurm_script(const PoolSpec& pool, const LaunchRequest& request);

/// What the ranks get to know by their environment.
std::vector<std::pair<std::string, std::string>> rank_variables(const PoolSpec& pool, const LaunchRequest& request);

/// srun and what it starts, within an allocation: the last line of the script, and the launch within one.
std::vector<std::string> srun_command(const LaunchRequest& request);

/// "regatta-RUN-ATTEMPT": by it a job is found again when its number was never learnt.
std::string slurm_job_name(const std::string& run, int attempt);

/// Why a pool's word (partition, account, time, ...) cannot stand in a `#SBATCH` line; empty: it can. A line break, a
/// blank, a quote or a leading '-' would make it another line or another option.
std::string wrong_slurm_word(const std::string& word);
/// The same for an entry of `extra`: one long option, and none of those that Regatta sets.
std::string wrong_slurm_option(const std::string& option);

}  // namespace regatta
