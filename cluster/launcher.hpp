#pragma once
// A launcher turns a plan into an argv array (never a shell string) and into running ranks.

#include <sys/types.h>

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
  std::vector<int> ranks_by_node;  ///< of a pool with several hosts; sums to `ranks`
  bool contended = false;          ///< more ranks than cores: yield when idle
};

/// What `launch` runs for a pool.
std::vector<std::string> launch_command(const PoolSpec& pool, const LaunchRequest& request);

/// On this host: `mpirun -np N ... regatta-worker --plan P --run-dir D`; one rank needs no mpirun.
std::vector<std::string> local_command(const LaunchRequest& request);

/// The same on hosts reached by ssh, with the ranks dealt to them in order.
std::vector<std::string> ssh_command(const PoolSpec& pool, const LaunchRequest& request);

/// A readable, runnable launch.sh with every argument quoted.
std::string launch_script(const std::vector<std::string>& argv);

/// How a launch ended.
struct ExitStatus {
  int code = 0;  ///< exit code, or 128 + signal
  std::optional<int> signal;
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
  /// Ends the launch and returns when nobody of it is left.
  virtual void kill() = 0;

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
  LocalProcess(const std::vector<std::string>& argv, const std::filesystem::path& log);
  ~LocalProcess() override;
  LocalProcess(const LocalProcess&) = delete;
  LocalProcess& operator=(const LocalProcess&) = delete;

  pid_t pid() const;
  /// Once there is a status, no process of the launch is left on this host and the child is reaped.
  std::optional<ExitStatus> poll() override;
  /// USR1 to the launcher, which forwards it.
  void request_stop() override;
  /// Ends the launch and returns when nobody of it is left. SIGTERM first, so that mpirun ends its ranks and clears
  /// away its files (2 s; a lone worker stops cleanly); what lives after 4 s is killed.
  void kill() override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The worker's exit codes and mpirun's own, in words: "stopped on request", "a host was lost: ...".
std::string describe_exit(const ExitStatus& status);

}  // namespace regatta
