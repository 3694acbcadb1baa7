#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cluster/gpu_probe.hpp"
#include "cluster/slurm_script.hpp"
#include "common/shell.hpp"
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
  const RunId id = new_run_id();
  const Plan plan = plan_run(preparation, row, id, {}, 1);
  const auto run_dir = find_home(line.home).folder / "runs" / id.value;
  const LaunchRequest request = attempt_launch(plan, run_dir, worker);
  const std::string script = slurm_script(row.pool, request);
  write_launch_files(plan, row.pool, request, preparation.job_text);
  std::fputs(script.c_str(), stdout);
  if (!line.quiet)
    std::fprintf(stderr, "regatta: submit it once, as it is: sbatch %s\n  and when it has ended: regatta import %s\n",
                 shell_readable((request.plan.parent_path() / kBatchScript).string()).c_str(),
                 shell_readable(run_dir.string()).c_str());
  return ExitCode::kDone;
}

constexpr const char* kSbatchExamples = R"(
Examples:
  regatta sbatch job.yaml --cluster cluster.yaml              what `regatta run` would submit
  regatta sbatch job.yaml --cluster cluster.yaml --only big   of one configuration among several
  regatta sbatch job.yaml --cluster cluster.yaml | sbatch     by hand; `regatta import` its folder when it has ended

Each call makes the folder of one run, with the plan that the script names, and says where; nothing is submitted, and the ledger
knows nothing of it before the import. A script of your own needs none of this: `srun --mpi=pmix regatta-worker job.yaml`.
)";

}  // namespace

void add_sbatch(CLI::App& app, CommandLine& line) {
  const auto command = std::make_shared<SbatchCommand>();
  auto* sub = app.add_subcommand("sbatch", "Prepare a run and print its Slurm batch script, to be submitted by hand");
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
