// The launcher `local`: ranks on this host, started by Open MPI's mpirun, or the worker itself when there is one rank
// (see D-03).
//
// What mpirun is told, and why:
//   --bind-to none    the worker pins itself to the cores in its plan; mpirun's own binding starts at core 0 for every
//                     launch, so that two launches would share cores by accident (see D-02)
//   --oversubscribe   slots were counted when the run was planned; mpirun must not count again and refuse
//   mpi_yield_when_idle 1, contended only: waiting ranks give their core away instead of spinning on it
// Transports stay Open MPI's choice: on one host it takes shared memory by itself. Naming them (pml ob1, btl
// self,vader) changed neither a 4 MB allreduce nor the start-up beyond the noise, and would override the user's
// OMPI_MCA settings.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <string_view>

#include "cluster/launcher.hpp"
#include "common/error.hpp"
#include "common/shell.hpp"

namespace regatta {

namespace {

constexpr std::string_view kRunAsRoot = "OMPI_ALLOW_RUN_AS_ROOT";
constexpr std::string_view kRunAsRootConfirm = "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM";

/// Variables by which an outer mpirun or batch system tells its own ranks who they are.
bool announces_a_rank(std::string_view entry, bool inside_mpirun) {
  if (entry.starts_with("PMIX_MCA_")) return false;      // a user's tuning
  if (entry.starts_with("SLURM_TMPDIR=")) return false;  // where this job may leave things
  constexpr std::array<std::string_view, 3> kForeign{"SLURM_", "PMI_", "PMIX_"};
  if (std::any_of(kForeign.begin(), kForeign.end(), [&](auto prefix) { return entry.starts_with(prefix); }))
    return true;
  return inside_mpirun && entry.starts_with("OMPI_");
}

std::string signal_words(int signal) {
  const char* name = ::sigabbrev_np(signal);
  const std::string text =
      "signal " + std::to_string(signal) + (name == nullptr ? "" : std::string(" (SIG") + name + ")");
  switch (signal) {
    case SIGKILL:
      return "killed by " + text + ": out of memory, or somebody's kill -9";
    case SIGUSR1:
      return "ended by " + text + ": asked to stop before it could do so cleanly";
    default:
      return "ended by " + text;
  }
}

}  // namespace

std::vector<std::string> local_command(const LaunchRequest& request) {
  REGATTA_ENSURE(request.ranks >= 1, "a launch needs a rank");
  std::vector<std::string> argv;
  if (request.ranks > 1) {
    argv = {"mpirun", "-np", std::to_string(request.ranks), "--bind-to", "none", "--oversubscribe"};
    if (request.contended) argv.insert(argv.end(), {"--mca", "mpi_yield_when_idle", "1"});
  }
  argv.insert(argv.end(),
              {request.worker.string(), "--plan", request.plan.string(), "--run-dir", request.run_dir.string()});
  return argv;
}

std::string launch_script(const std::vector<std::string>& argv) {
  REGATTA_ENSURE(!argv.empty(), "a launch needs a program");
  std::string script =
      "#!/bin/sh\n"
      "# What Regatta ran. A worker refuses a folder that has a journal: give another --run-dir to run it again.\n"
      "if [ \"$(id -u)\" = 0 ]; then export " +
      std::string(kRunAsRoot) + "=1 " + std::string(kRunAsRootConfirm) + "=1; fi\nexec";
  for (const auto& argument : argv) {
    const bool new_line = argument.starts_with('-') || argument.starts_with('/');
    script += (new_line && &argument != &argv.front() ? " \\\n  " : " ") + shell_quoted(argument);
  }
  return script + "\n";
}

std::vector<std::string> local_environment(const std::vector<std::string>& inherited, bool root) {
  const bool inside_mpirun = std::any_of(inherited.begin(), inherited.end(), [](const std::string& entry) {
    return entry.starts_with("OMPI_COMM_WORLD_SIZE=");
  });
  std::vector<std::string> result;
  for (const auto& entry : inherited) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    if (!announces_a_rank(entry, inside_mpirun) && name != kRunAsRoot && name != kRunAsRootConfirm)
      result.push_back(entry);
  }
  if (root) {
    result.push_back(std::string(kRunAsRoot) + "=1");
    result.push_back(std::string(kRunAsRootConfirm) + "=1");
  }
  return result;
}

std::string describe_exit(const ExitStatus& status) {
  if (status.signal) return "the launched program was " + signal_words(*status.signal);
  switch (static_cast<ExitCode>(status.code)) {
    case ExitCode::kDone:
      return "done";
    case ExitCode::kFailure:
      return "failed; see the logs of the ranks";
    case ExitCode::kBadConfig:
      return "a bad job file, plan or command line";
    case ExitCode::kData:
      return "the data set is missing, damaged or changed";
    case ExitCode::kCommunication:
      return "an error in MPI or the link";
    case ExitCode::kLostPeer:
      return "a rank was lost: its connection closed";
    case ExitCode::kDeadline:
      return "a wait outlasted train.deadline";
    case ExitCode::kNonFiniteLoss:
      return "the loss is not finite; try a smaller learning rate";
    case ExitCode::kDisk:
      return "a file could not be read or written";
    case ExitCode::kOutOfMemory:
      return "out of memory";
    case ExitCode::kStoppedOnRequest:
      return "stopped on request";
    default:
      break;
  }
  // mpirun's own codes (Open MPI 4.1): its time-out, a daemon or host that no longer answers, or never came.
  constexpr int kTimedOut = 110, kHostLost = 205, kNotStarted = 132, kNoDaemon = 255;
  constexpr int kNotLoaded = 127;  // the dynamic loader's and the shell's
  constexpr int kSignalBase = 128;
  if (status.code == kTimedOut) return "timed out in mpirun";
  if (status.code == kHostLost) return "a host was lost: mpirun's daemon there no longer answers";
  if (status.code == kNoDaemon) return "mpirun could not start its daemon on a host: ssh, or Open MPI there, failed";
  if (status.code == kNotStarted) return "mpirun could not start the program (or a rank ended by signal 4, SIGILL)";
  if (status.code == kNotLoaded) return "the program or one of its libraries is missing";
  if (status.code > kSignalBase && status.code < kSignalBase + NSIG)
    return "a rank was " + signal_words(status.code - kSignalBase);
  return "exit code " + std::to_string(status.code);
}

}  // namespace regatta
