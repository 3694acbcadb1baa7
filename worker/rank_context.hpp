#pragma once
// Who am I among the ranks, and the few collectives that are not gradients. One implementation for a single process
// without a launcher (no MPI_Init: starts in a tenth of the time), one over MPI.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/host.hpp"
#include "worker/watchdog.hpp"

namespace regatta {

/// Node-shared blocks are aligned to it, so that ranks do not share lines by accident.
inline constexpr std::size_t kCacheLine = 64;

enum class Reduce { kMin, kMax };

/// Owned by main; every method is collective over all ranks unless said, called on the trainer thread in the same order
/// everywhere, and covered by the watchdog's deadline. Throws CommError.
class RankContext {
 public:
  virtual ~RankContext() = default;
  virtual int rank() const = 0;  // not collective, like the next three
  virtual int world_size() const = 0;
  virtual int local_rank() const = 0;  ///< among the ranks of this host
  virtual int local_size() const = 0;
  virtual void barrier() = 0;
  virtual void node_barrier() = 0;                                  ///< over the ranks of this host
  virtual void allreduce(std::span<double> values, Reduce op) = 0;  ///< in place, same result on every rank
  virtual std::string broadcast(std::string text) = 0;              ///< rank 0's text, everywhere
  virtual std::vector<std::string> gather(std::string text) = 0;    ///< at rank 0: one a rank; elsewhere empty
  /// `bytes` of memory that all ranks of this host see, each at an address of its own; 64-byte aligned, with anything
  /// in it, alive as long as the context. Nothing of it outlives the processes.
  virtual std::byte* node_shared(std::size_t bytes) = 0;
  /// The ranks that gave the same `colour`, in rank order, as a context of their own; this one owns it. For tests of
  /// several hosts on one: there, ranks of a host that give another `host` count as standing on another one.
  virtual RankContext& split(int colour, std::optional<int> host = {});
  /// Not collective: this rank leaves alone, after an error that the others do not know. The destructor then waits for
  /// nobody; the launcher ends the others when this process exits with a code other than 0.
  virtual void abandon() = 0;
};

/// What a launcher's variables say, before MPI is touched.
struct LauncherVariables {
  std::string launcher;  ///< "Open MPI", "MPICH", "Slurm", "PMIx", "" for none
  int world_size = 1;    ///< 0: a launcher is there, but says no number
  int rank = 0;
};
/// `get` is getenv, or a table in tests.
LauncherVariables launcher_variables(const std::function<const char*(const char*)>& get);
/// From this process's environment.
LauncherVariables launcher_variables();

/// What is wrong when these variables announce several ranks and nobody connects them: srun without PMIx, another MPI's
/// launcher, a Slurm job without srun. Empty where nothing is. Said before MPI is touched: MPI would end the process in
/// its own words, or give each one a world of its own.
std::string launcher_refusal(const std::function<const char*(const char*)>& get);
std::string launcher_refusal();

/// World size 1 without a launcher, or a launch of one rank.
std::unique_ptr<RankContext> make_solo_context();
/// Which threads of this process call MPI.
enum class MpiCallers {
  kTrainer,  ///< one at a time: MPI_THREAD_SERIALIZED
  kDevices,  ///< a device's too, for what is in host memory (bridge_device.hpp): MPI_THREAD_MULTIPLE, where MPI has it
};
/// MPI_Init_thread and MPI_COMM_WORLD; the destructor finalizes. Defined in mpi_context.cpp.
/// Throws CommError when the launcher announces more ranks than MPI finds ("a silent world of 1"), or another rank.
std::unique_ptr<RankContext> make_mpi_context(const LauncherVariables& variables, Watchdog& watchdog,
                                              MpiCallers callers = MpiCallers::kTrainer);

}  // namespace regatta
