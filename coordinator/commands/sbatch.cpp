#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cluster/gpu_probe.hpp"
#include "cluster/slurm_script.hpp"
#include "coordinator/command.hpp"
#include "coordinator/home.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/supervisor.hpp"
#include "coordinator/worker_program.hpp"

namespace regatta {

namespace {

struct SbatchCommand {
  RunOptions options;
  std::optional<std::filesystem::path> worker;
};

constexpr const char* kUnmadeRunId = "RUN-ID";  // made when it runs

/// The one row of a Slurm pool.
const PlannedRow& only_row(const Preparation& preparation) {
  std::vector<const PlannedRow*> rows;
  std::string names;
  for (const auto& row : preparation.rows) {
    if (row.pool.launcher != LauncherKind::kSlurm) continue;
    rows.push_back(&row);
    names += (names.empty() ? "" : ", ") + row.configuration.name;
  }
  if (rows.empty())
    throw ConfigError(
        "no configuration runs on a pool with launcher: slurm\n  write one in the cluster file and name "
        "it with --cluster");
  if (rows.size() > 1)
    throw ConfigError("several configurations run on Slurm: " + names + "\n  choose one with --only");
  return *rows.front();
}

ExitCode sbatch(const SbatchCommand& command, const CommandLine& line) {
  const std::filesystem::path worker = find_worker(command.worker);
  const AskGpus ask_gpus = [&] { return ask_for_gpus(worker); };
  const Preparation preparation = prepare(command.options, this_machine(), ask_gpus);
  const PlannedRow& row = only_row(preparation);
  const Plan plan = plan_run(preparation, row, RunId{kUnmadeRunId}, {}, 1);
  const LaunchRequest request = attempt_launch(plan, find_home(line.home).folder / "runs" / kUnmadeRunId, worker);
  std::fputs(slurm_script(row.pool, request).c_str(), stdout);
  return ExitCode::kDone;
}

constexpr const char* kSbatchExamples = R"(
Examples:
  regatta sbatch job.yaml --cluster cluster.yaml              what `regatta run` would submit
  regatta sbatch job.yaml --cluster cluster.yaml --only big   of one configuration among several

RUN-ID stands for the run's id, which is made when it is submitted, with the plan that the script names. To start a job by hand,
take `srun --mpi=pmix regatta-worker job.yaml` into a script of your own, and `regatta import` its folder.
)";

}  // namespace

void add_sbatch(CLI::App& app, CommandLine& line) {
  const auto command = std::make_shared<SbatchCommand>();
  auto* sub = app.add_subcommand("sbatch", "Print the Slurm batch script of a configuration");
  sub->add_option("job", command->options.job, "Job file")->required()->type_name("job.yaml");
  sub->add_option("--cluster", command->options.cluster, "Pools to run on")->type_name("FILE");
  sub->add_option("--only", command->options.only, "This configuration")->type_name("NAME")->allow_extra_args(false);
  sub->add_option("--set", command->options.set, "Replace a value of the job file; may be given again")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  sub->add_option("--worker", command->worker, "The regatta-worker; without it, the one beside this program")
      ->type_name("PATH");
  sub->footer(kSbatchExamples);
  sub->callback([&line, command] { line.chosen = [&line, command] { return sbatch(*command, line); }; });
}

}  // namespace regatta
