#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <sstream>

#include "cluster/gpu_probe.hpp"
#include "common/features.hpp"
#include "common/printable.hpp"
#include "coordinator/campaign.hpp"
#include "coordinator/command.hpp"
#include "coordinator/comparison.hpp"
#include "coordinator/dry_run.hpp"
#include "coordinator/home.hpp"
#include "coordinator/host_checks.hpp"
#include "coordinator/kernel_cache.hpp"
#include "coordinator/lane_cache.hpp"
#include "coordinator/ownership.hpp"
#include "coordinator/slots.hpp"
#include "coordinator/text_table.hpp"
#include "coordinator/tuner.hpp"
#include "coordinator/worker_program.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

/// The command line of `regatta run`.
struct RunCommand {
  RunOptions options;
  bool dry_run = false, json = false, retune = false, push = false;
  std::optional<fs::path> worker;
};

constexpr const char* kRunExamples = R"(
Examples:
  regatta run job.yaml                        every configuration on this machine, then the verdict
  regatta run job.yaml --dry-run              what would run where, at what price; starts nothing
  regatta run job.yaml --only two-cores       one configuration
  regatta run job.yaml --set train.batch=256  the same job with another batch
  regatta run job.yaml --json > verdict.json  the comparison for a program
)";

bool is_in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');)
    if (access((fs::path(folder) / program).c_str(), X_OK) == 0) return true;
  return false;
}

/// Before anything is trained, not when the first row with two ranks comes up.
void need_mpirun(const Preparation& preparation) {
  const bool needed = std::any_of(preparation.rows.begin(), preparation.rows.end(), [](const PlannedRow& row) {
    if (!row.refused.empty() || row.pool.launcher == LauncherKind::kSlurm) return false;
    if (row.pool.launcher == LauncherKind::kSsh) return true;
    const auto parallel = [](const Way& way) { return way.ranks > 1; };
    return row.placement.ranks > 1 || std::ranges::any_of(row.ways, parallel);
  });
  if (needed && !is_in_path("mpirun"))
    throw ConfigError(
        "no mpirun in PATH, which more than one rank needs, and ranks on other hosts\n  install Open MPI (Debian: "
        "openmpi-bin), or run the rows "
        "with one rank: --only NAME");
}

/// Waits for the slots of this machine: every pool with the local launcher takes the same ones. Nothing when
/// interrupted.
std::optional<SlotLock> take_slots(const Preparation& preparation, bool contended, Reactor& reactor,
                                   ProgressDisplay& display) {
  const fs::path file = slots_file();
  bool said = false;
  while (reactor.interrupts() == 0) {
    const SlotHolder self{getpid(), preparation.job.name, to_text(wall_now())};
    if (contended) return SlotLock::join(file, self);
    if (auto lock = SlotLock::try_take(file, self)) return lock;
    if (!said) display.say(waiting_words(preparation.rows.front().placement.pool, slot_holder(file)));
    said = true;
    reactor.wait(std::chrono::milliseconds(200));
  }
  return {};
}

void print_comparison(const CampaignResult& result, bool json) {
  std::vector<const RunState*> runs;
  for (const auto& run : result.runs) runs.push_back(&run);
  const Comparison comparison = compare(runs);
  const std::string text =
      json ? to_json(comparison).dump(2) + "\n" : to_table(comparison, wants_colour(STDOUT_FILENO));
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

/// What runs have measured that workers would measure again, of each thing by its key.
class MeasuredBefore {
 public:
  MeasuredBefore(const fs::path& home, const Inventory& machine) : machine_(machine), kernels_(home), lanes_(home) {}

  void take(Preparation& preparation) const {
    for (PlannedRow& row : preparation.rows) {
      if (!row.refused.empty()) continue;
      const Keys keys = keys_of(preparation, row);
      if (!keys.kernels.is_null()) row.kernels = kernels_.find(keys.kernels);
      row.lanes = lanes_.find(keys.lanes);
    }
  }

  /// Of rows that measured; of their repeats, the first one's.
  void keep(const Preparation& preparation, const CampaignResult& result) const {
    for (const PlannedRow& row : preparation.rows) {
      const auto run = std::find_if(result.runs.begin(), result.runs.end(), [&](const RunState& candidate) {
        return candidate.order == row.order && candidate.status == RunStatus::kDone;
      });
      if (!row.refused.empty() || run == result.runs.end()) continue;
      const Keys keys = keys_of(preparation, row);
      if (const auto measured = measured_kernels(*run); measured && !row.kernels && !keys.kernels.is_null())
        kernels_.keep(keys.kernels, *measured);
      if (const auto measured = measured_lanes(*run); measured && !keys.lanes.is_null())
        lanes_.keep(keys.lanes, *measured);
    }
  }

 private:
  /// Null: not kept.
  struct Keys {
    Json kernels, lanes;
  };
  Keys keys_of(const Preparation& preparation, const PlannedRow& row) const {
    const Plan plan = plan_run(preparation, row, new_run_id(), {}, 1);
    const std::string without = to_text(features_from_environment());
    const bool here = row.pool.launcher == LauncherKind::kLocal;  // else other processors
    return {.kernels = here ? kernel_key(plan, machine_, without) : Json(nullptr),
            .lanes = lane_key(plan, row.pool, without)};
  }

  const Inventory& machine_;
  const KernelCache kernels_;
  const LaneCache lanes_;
};

ExitCode execute(const RunCommand& command, const CommandLine& line, const std::vector<std::string>& argv) {
  features_from_environment();  // throws for a wrong word: each rank of each row would say the same, later
  const Inventory machine = this_machine();
  ProgressDisplay display(stderr, ProgressDisplay::style_for(stderr, line.quiet));
  const SteadyTime begin = std::chrono::steady_clock::now();
  const AskGpus ask_gpus = [&] { return ask_for_gpus(find_worker(command.worker)); };
  Preparation preparation = prepare(command.options, machine, ask_gpus, [&](std::int64_t done, std::int64_t total) {
    display.indexing(done, total, std::chrono::steady_clock::now() - begin);
  });
  const fs::path worker = find_worker(command.worker);
  const Home home = find_home(line.home);
  const auto check = [&](bool starts, const KeepWaiting& keep_waiting) {
    check_hosts(preparation, {.runs = home.folder / "runs",
                              .worker = worker,
                              .starts = starts,
                              .push = command.push,
                              .display = display,
                              .keep_waiting = keep_waiting});
  };
  if (command.dry_run) {
    check(false, [] { return true; });
    if (!command.retune) settle_from_cache(preparation, home.folder, machine);
    const std::string text = command.json ? dry_run_json(preparation, home.folder, worker).dump(2) + "\n"
                                          : dry_run_text(preparation, home.folder, worker);
    std::fputs(text.c_str(), stdout);
    return ExitCode::kDone;
  }

  need_mpirun(preparation);
  Reactor reactor;
  Ledger ledger(home.ledger);  // before the wait: a home that cannot be written is said at once
  check(true, [&] {
    reactor.wait(Duration(0));
    return reactor.interrupts() == 0;
  });
  if (reactor.interrupts() > 0) return ExitCode::kInterrupted;
  if (!ledger.notice().empty()) display.note(ledger.notice());
  // ssh hosts have no lock of their own: runs from this machine do not meet there. Slurm has a queue.
  const bool here = std::ranges::any_of(
      preparation.rows, [](const PlannedRow& row) { return row.pool.launcher != LauncherKind::kSlurm; });
  std::optional<SlotLock> slots;
  if (here) slots = take_slots(preparation, command.options.contended, reactor, display);
  if (here && !slots) return ExitCode::kInterrupted;
  for (const auto& sentence : recover(ledger)) display.note(sentence);

  if (const auto skipped = skipped_words(preparation.rows.front().dataset); !skipped.empty())
    display.say(printable("data: " + skipped));
  const TunerParts tuner{.reactor = reactor,
                         .display = display,
                         .machine = machine,
                         .home = home.folder,
                         .worker = worker,
                         .retune = command.retune,
                         .contended = command.options.contended};
  if (!tune(preparation, tuner)) return ExitCode::kInterrupted;
  const MeasuredBefore measured(home.folder, machine);
  if (!command.retune) measured.take(preparation);
  const Owner owner = this_process();
  const CampaignResult result =
      run_campaign(preparation, argv, home.folder,
                   {.ledger = ledger, .reactor = reactor, .display = display, .owner = owner, .worker = worker},
                   slots ? &*slots : nullptr);
  if (!command.options.contended) measured.keep(preparation, result);
  print_comparison(result, command.json);
  if (result.interrupted) return ExitCode::kInterrupted;
  for (const auto& run : result.runs)
    if (run.status != RunStatus::kDone) return ExitCode::kFailure;
  return ExitCode::kDone;
}

}  // namespace

void add_run(CLI::App& app, CommandLine& line) {
  const auto command = std::make_shared<RunCommand>();
  auto* run = app.add_subcommand("run", "Run a job on every configuration and say which is cheapest and fastest");
  run->add_option("job", command->options.job, "Job file")->required()->type_name("job.yaml");
  run->add_option("--cluster", command->options.cluster, "Pools to run on; without it, this machine as pool `here`")
      ->type_name("FILE");
  run->add_flag("--dry-run", command->dry_run, "Print plan, command lines, shares and price; create and start nothing");
  run->add_option("--only", command->options.only, "Run only this configuration; may be given again")
      ->type_name("NAME")
      ->allow_extra_args(false);  // each takes one value, so that the job file may follow
  run->add_option("--set", command->options.set, "Replace a value of the job file; may be given again")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  run->add_flag("--contended", command->options.contended,
                "Run beside another timed run; rows are marked and never win");
  run->add_flag("--retune", command->retune,
                "Measure again what earlier runs have: ways for `auto`, kernels of linear layers, sums over hosts");
  run->add_flag(
      "--push", command->push,
      "Copy this installed tree (./dev install) to the hosts of ssh pools that do not have it, and run it there");
  run->add_flag("--json", command->json, "Print the comparison as JSON on stdout");
  run->add_option("--worker", command->worker, "The regatta-worker to launch; without it, the one beside this program")
      ->type_name("PATH");
  run->footer(kRunExamples);
  run->callback([&line, command] { line.chosen = [&line, command] { return execute(*command, line, line.argv); }; });
}

}  // namespace regatta
