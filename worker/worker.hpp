#pragma once
// One rank from its command line to its exit code.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/error.hpp"
#include "jobs/models.hpp"
#include "jobs/plan.hpp"
#include "worker/batch_source.hpp"
#include "worker/cuda_plugin.hpp"
#include "worker/device.hpp"
#include "worker/exchanger.hpp"
#include "worker/lap_clock.hpp"
#include "worker/optimizer.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// `regatta-worker job.yaml [--config NAME]` or `regatta-worker --plan plan.json`; both [--run-dir DIR] [--home DIR].
struct WorkerOptions {
  std::optional<std::filesystem::path> job, plan, run_dir, home;
  std::optional<std::string> configuration;
  bool quiet = false;  ///< nothing but errors on stderr
  bool gpus = false;   ///< say which GPUs there are, as JSON, and train nothing
};

/// The parts a test may wrap (a delay, a shifted sample): each gets the real one and returns what is used instead.
struct WorkerWraps {
  std::function<std::unique_ptr<BatchSource>(std::unique_ptr<BatchSource>, const Plan&, int rank)> batches;
  std::function<std::unique_ptr<EvaluationSource>(std::unique_ptr<EvaluationSource>, int rank)> evaluation;
  std::function<std::unique_ptr<Optimizer>(std::unique_ptr<Optimizer>, int rank)> optimizer;
  std::function<std::unique_ptr<Exchanger>(std::unique_ptr<Exchanger>, LapClock&, int rank)> exchanger;
  std::function<std::unique_ptr<Device>(RankContext&)> device;  ///< in place of the plug-in's, where the plan says nccl
  std::function<std::unique_ptr<Model>(std::unique_ptr<Model>, int rank)> model;  ///< or the real one, with hooks
  /// Called by the loader's thread before it makes a batch (from 0): a delay or a failure in production.
  std::function<void(int rank, std::int64_t batch)> before_batch;
  std::function<int(int rank)> host_of;  ///< ranks of this host stand on several, by number
  std::function<void()> before_end;      ///< called by rank 0 before it writes weights and result: a slow disk
};

/// Ends the process at once, unwinding nothing; does not return.
using LeaveNow = std::function<void(ExitCode)>;

/// Runs this rank to its end and returns the exit code; says errors on stderr (rank 0, or the rank concerned).
/// Everything is destroyed and MPI finalized when it returns, but after an error that this rank alone knows: then MPI
/// is left as it is, and the launcher ends the others when this process leaves. `leave_now` is called by the watchdog's
/// thread when a wait outlasts its deadline. `cuda`: what was loaded before anything else was done.
ExitCode run_worker(const WorkerOptions& options, const LeaveNow& leave_now, const LoadedCuda& cuda,
                    const WorkerWraps& wraps = {});

/// The plug-in where the plan, or the configuration that is meant by hand, says nccl; else nothing is looked for. What
/// is wrong with the files is said later, by rank 0.
LoadedCuda load_cuda_for(const WorkerOptions& options);

/// Parses argv, prints help; then run_worker. What both main.cpp and the tests' worker call.
int worker_main(int argc, char** argv, const WorkerWraps& wraps = {});

}  // namespace regatta
