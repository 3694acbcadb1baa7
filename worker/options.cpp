#include "worker/options.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

namespace regatta {

namespace {

constexpr const char* kDescription =
    "Trains one configuration of a job as one rank of a launch. `regatta run` starts it for you; started by hand,\n"
    "rank 0 indexes the data, makes the plan and hands it to the others.";

constexpr const char* kFooter =
    "Examples\n"
    "  regatta-worker job.yaml                       one rank on this machine\n"
    "  mpirun -np 4 regatta-worker job.yaml          four ranks: the configuration of the job that has four\n"
    "  srun --mpi=pmix regatta-worker job.yaml --config big   inside a Slurm allocation\n"
    "  regatta import RUN_DIR                        takes the finished run into the ledger, with a price\n"
    "\n"
    "It writes RUN_DIR/{job.yaml, result.json, weights.safetensors} and RUN_DIR/attempt-1/{plan.json, launch.sh,\n"
    "journal.jsonl, ranks.jsonl, rank-N.log, steps-N.jsonl}. A folder with a journal is refused: nothing is written\n"
    "over.\n"
    "\n"
    "A configuration with `backend: nccl` needs libregatta_cuda.so: $REGATTA_CUDA_PLUGIN, or beside this program.\n"
    "\n"
    "USR1 (also through mpirun) or TERM stops all ranks cleanly after the current step or test batch.\n"
    "\n"
    "Exit codes: 0 done, 2 bad job file or command line, 10 data, 11 communication, 13 deadline, 14 non-finite loss,\n"
    "15 disk, 16 out of memory, 75 stopped on request. 12 is kept for a lost rank; Open MPI 4.1 tells the others\n"
    "nothing, and mpirun itself ends the job: with 128 + the signal that ended the rank, or 205 for a lost host.";

/// What CLI11 cannot express: a job or a plan, and what goes with which.
void check(const WorkerOptions& options) {
  if (options.gpus) return;
  if (!options.job && !options.plan) throw CLI::RequiredError("job.yaml (or --plan plan.json)");
  if (options.job && options.plan) throw CLI::ExcludesError("job.yaml", "--plan");
  if (options.plan && options.configuration) throw CLI::ExcludesError("--config", "--plan");
}

}  // namespace

std::variant<WorkerOptions, ExitCode> parse_worker_options(int argc, const char* const* argv, bool speak) {
  WorkerOptions options;
  CLI::App app(kDescription, "regatta-worker");
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("regatta-worker ") + REGATTA_VERSION);
  app.add_option("job", options.job, "job file, see jobs/SCHEMA.md")->type_name("job.yaml");
  app.add_option("--plan", options.plan, "plan of an attempt, made by the coordinator")->type_name("FILE");
  app.add_option("--config", options.configuration, "which configuration; default: the only one with this many ranks")
      ->type_name("NAME");
  app.add_option("--run-dir", options.run_dir, "where the run is written; default: HOME/runs/RUN_ID")->type_name("DIR");
  app.add_option("--home", options.home, "default: $REGATTA_HOME, else ~/.regatta")->type_name("DIR");
  app.add_flag("--gpus", options.gpus, "print which GPUs libregatta_cuda.so finds here, as JSON, and leave");
  app.add_flag("-q,--quiet", options.quiet, "nothing but errors on stderr");
  try {
    app.parse(argc, argv);
    if (argc > 0) check(options);
  } catch (const CLI::Success& asked) {  // --help, --version
    if (speak) app.exit(asked, std::cout, std::cerr);
    return ExitCode::kDone;
  } catch (const CLI::ParseError& error) {
    if (speak) std::cerr << "regatta-worker: " << error.what() << "\n  `regatta-worker --help` explains.\n";
    return ExitCode::kBadConfig;
  }
  return options;
}

}  // namespace regatta
