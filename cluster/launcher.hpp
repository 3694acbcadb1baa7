#pragma once
// A launcher turns a plan into an argv array (never a shell string) and into running ranks.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/spec.hpp"
#include "common/time.hpp"

namespace regatta {

struct LaunchRequest {
  std::filesystem::path worker;   ///< absolute path of regatta-worker
  std::filesystem::path plan;     ///< attempt-K/plan.json
  std::filesystem::path run_dir;  ///< the run's folder
  int ranks = 1;
  std::vector<int> ranks_by_node;      ///< of a pool with several hosts; sums to `ranks`
  bool contended = false;              ///< more ranks than cores: yield when idle
  std::vector<std::string> forwarded;  ///< variables that ranks on other hosts get, too
  // Of a batch system.
  std::string job_name;      ///< of this attempt alone
  int threads = 1;           ///< cores a rank
  int cores_on_node = 0;     ///< that the pool has; ranks which want more share them. 0: as many as they want
  int gpus_on_node = 0;      ///< of ranks on GPUs
  bool whole_nodes = false;  ///< billed by the node: nobody else on it
};

/// In the attempt's folder: nobody waits for this attempt any more; a batch job that still starts ends at once.
inline constexpr const char* kGivenUp = "given-up";

/// What `launch` runs for a pool.
std::vector<std::string> launch_command(const PoolSpec& pool, const LaunchRequest& request);

/// On this host: `mpirun -np N ... regatta-worker --plan P --run-dir D`; one rank needs no mpirun.
std::vector<std::string> local_command(const LaunchRequest& request);

/// In the attempt's folder: what is submitted (slurm_script).
inline constexpr const char* kBatchScript = "sbatch.sh";

/// `sbatch --parsable SCRIPT`; within an allocation of Slurm srun itself.
std::vector<std::string> slurm_command(const LaunchRequest& request);
/// This process runs in an allocation (salloc, or a batch script).
bool inside_slurm_allocation();
/// The environment of that srun: all of `inherited`, since srun needs to know its allocation, and what the batch script
/// would export. Pure.
std::vector<std::string> slurm_step_environment(const PoolSpec& pool, const LaunchRequest& request,
                                                std::vector<std::string> inherited);

/// The same on hosts reached by ssh, with the ranks dealt to them in order by a hostfile beside the plan.
std::vector<std::string> ssh_command(const PoolSpec& pool, const LaunchRequest& request);
/// "n1 slots=2": a line a host.
std::string host_file(const PoolSpec& pool, const LaunchRequest& request);
/// Writes it where ssh_command says. Throws IoError.
void write_host_file(const PoolSpec& pool, const LaunchRequest& request);
/// The names of those variables of `environment` that say how ranks work, wherever they are. Pure.
std::vector<std::string> forwarded_variables(const std::vector<std::string>& environment);

/// A readable, runnable launch.sh with every argument quoted.
std::string launch_script(const std::vector<std::string>& argv);

/// How a launch ended.
struct ExitStatus {
  int code = 0;  ///< exit code, or 128 + signal
  std::optional<int> signal;
  std::string why;         ///< a batch system's reason for the end ("Slurm's time limit"); empty: the code says it
  std::string lost;        ///< nobody knows how the ranks ended, and why so; empty: they ended with `code`
  bool forgotten = false;  ///< of a lost one: the batch system does not know it; its files may tell how it ended
};

/// A launch as its batch system sees it, by that system's clock.
struct Allocation {
  std::string job;    ///< its number there; empty: not known yet
  std::string state;  ///< its word: PENDING, RUNNING, ...
  std::string nodes;  ///< as it writes them: n[1-4]
  std::string note;   ///< for people: why it waits, or that the system does not answer
  bool answers = true;
  std::optional<Timestamp> submitted, held_from, held_to;
  bool operator==(const Allocation&) const = default;
};

/// The environment of a local launch, as NAME=VALUE: without what an outer mpirun or batch system says to its own ranks
/// (a launch inside an allocation stays on this host), and with Open MPI's consent to run as root when `root`. Pure.
std::vector<std::string> local_environment(const std::vector<std::string>& inherited, bool root);

/// A running launch, whatever started it. One thread. The destructor ends it, unless it says otherwise.
class Launch {
 public:
  virtual ~Launch() = default;
  /// Nothing while it runs. Once there is a status, nothing of the launch is left on any host that answers.
  virtual std::optional<ExitStatus> poll() = 0;
  /// Asks every rank for a clean stop at the next step.
  virtual void request_stop() = 0;
  /// Ends the launch. Returns when nobody of it is left, or after some seconds: poll() says which.
  virtual void kill() = 0;
  /// How long after kill() poll() may go without a status.
  virtual Duration kill_limit() const { return std::chrono::seconds(10); }
  /// Nothing where launching is holding: without a queue.
  virtual std::optional<Allocation> allocation() const { return {}; }

 protected:
  Launch() = default;
  Launch(const Launch&) = default;
  Launch& operator=(const Launch&) = default;
};

/// Starts what launch_command says. Output of the launcher itself goes to `log`. Throws LaunchError.
std::unique_ptr<Launch> launch(const PoolSpec& pool, const LaunchRequest& request, const std::filesystem::path& log);

/// A launch in a session of its own. It ends with this process: the child gets SIGTERM when its parent's main
/// thread dies (PR_SET_PDEATHSIG), so create it on the main thread. One thread. The destructor is kill().
class LocalProcess final : public Launch {
 public:
  /// Output of the launcher itself goes to `log`. Throws LaunchError naming the missing program.
  LocalProcess(const std::vector<std::string>& argv, const std::filesystem::path& log,
               const std::filesystem::path& input = "/dev/null");
  /// With exactly this environment, NAME=VALUE.
  LocalProcess(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
               const std::filesystem::path& log, const std::filesystem::path& input = "/dev/null");
  ~LocalProcess() override;
  LocalProcess(const LocalProcess&) = delete;
  LocalProcess& operator=(const LocalProcess&) = delete;

  pid_t pid() const;
  /// Once there is a status, no process of the launch is left on this host and the child is reaped.
  std::optional<ExitStatus> poll() override;
  /// USR1 to the launcher, which forwards it.
  void request_stop() override;
  /// Ends the launch. Returns when nobody of it is left, or after some seconds: poll() says which. SIGTERM first, so
  /// that mpirun ends its ranks and clears away its files (2 s; a lone worker stops cleanly); what lives after 4 s is
  /// killed.
  void kill() override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The worker's exit codes and mpirun's own, in words: "stopped on request", "a host was lost: ...".
std::string describe_exit(const ExitStatus& status);

}  // namespace regatta
