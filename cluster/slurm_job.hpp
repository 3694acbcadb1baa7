#pragma once
// One batch job from its submission to its end, by asking Slurm's commands.

#include <filesystem>
#include <memory>
#include <string>

#include "cluster/launcher.hpp"

namespace regatta {

/// Submits once and follows; never blocks longer than a process takes to start. Every command has a deadline; a Slurm
/// that does not answer is asked again, and allocation().note says so. The job outlives this object: whoever comes next
/// adopts it by its name. Main thread only.
///
/// poll() throws LaunchError in Slurm's words when it refuses the job. ExitStatus: `code` is the batch script's
/// (srun's: the highest of the ranks'); `lost` when Slurm started the job again or no longer knows it.
class SlurmJob final : public Launch {
 public:
  /// Submits `script` under `name`, which no job had before; the script says the same name.
  static std::unique_ptr<SlurmJob> submit(const std::string& name, const std::filesystem::path& script);
  /// A job that somebody has submitted, or was about to at `launched`. `known` is what was recorded of it.
  static std::unique_ptr<SlurmJob> adopt(const std::string& name, const Allocation& known, Timestamp launched);
  ~SlurmJob() override;
  SlurmJob(const SlurmJob&) = delete;
  SlurmJob& operator=(const SlurmJob&) = delete;

  std::optional<ExitStatus> poll() override;
  /// USR1 to every rank.
  void request_stop() override;
  /// scancel; poll() says when it is done.
  void kill() override;
  Duration kill_limit() const override;
  std::optional<Allocation> allocation() const override;
  /// Slurm has answered since this object was made; with the job's state.
  bool answered() const;
  bool looked() const;

 private:
  struct Impl;
  explicit SlurmJob(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The environment of Slurm's commands: UTC, its own formats, and none of the variables that would change a submission
/// behind the script's back (SBATCH_*), or that say whose job this process is (SLURM_*, but for SLURM_CONF). Pure.
std::vector<std::string> slurm_environment(const std::vector<std::string>& inherited);

}  // namespace regatta
