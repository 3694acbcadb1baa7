#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "common/printable.hpp"
#include "coordinator/command.hpp"
#include "coordinator/home.hpp"
#include "coordinator/ingest.hpp"
#include "coordinator/ownership.hpp"
#include "coordinator/question.hpp"
#include "coordinator/run_words.hpp"
#include "coordinator/supervisor.hpp"
#include "jobs/plan_files.hpp"

namespace regatta {

namespace {

/// Those that are left behind, or those of the one asked for.
std::vector<RunId> runs_to_follow(const State& state, const std::string& id) {
  std::vector<RunId> found;
  if (id.empty()) {
    for (const auto& [key, run] : state.runs)
      if (is_left_behind(run)) found.push_back(run.id);
    return found;
  }
  const Subject subject = find_subject(state, id);
  if (subject.run != nullptr) return {subject.run->id};
  for (const RunState* run : runs_of(*subject.comparison, state)) found.push_back(run->id);
  return found;
}

/// To its end, whoever follows it at the time.
RunState follow(Ledger& ledger, const RunId& id, Reactor& reactor, ProgressDisplay& display) {
  bool said = false;
  for (;;) {
    RunState run = run_state(ledger, id);
    if (is_final(run.status) || reactor.interrupts() > 0) return run;
    if (is_left_behind(run)) {
      const auto me = adopt(ledger, run);
      if (!me) continue;
      run = run_state(ledger, id);
      const auto& attempt = run.attempts.back();
      const Plan plan = read_plan(attempt_folder(run.run_dir, attempt.attempt) / "plan.json");
      display.note(fmt::format("{}: going on with {}", run.configuration, attempt.job->name));
      return follow_adopted(plan, run, {.ledger = ledger, .reactor = reactor, .display = display, .owner = *me});
    }
    if (run.owner && !is_alive(*run.owner)) {  // it left nothing that goes on
      for (const auto& sentence : recover(ledger)) display.note(sentence);
      if (is_final(run_state(ledger, id).status)) continue;
    } else if (!said && run.owner) {
      display.say(fmt::format("{}: waiting for process {} on {}, which follows it", run.configuration, run.owner->pid,
                              run.owner->host));
      said = true;
    }
    reactor.wait(std::chrono::milliseconds(500));
  }
}

ExitCode wait(const std::string& id, const CommandLine& line) {
  const Home home = find_home(line.home);
  if (!std::filesystem::exists(home.ledger)) throw Error(ExitCode::kFailure, empty_words(home.ledger));
  ProgressDisplay display(stderr, ProgressDisplay::style_for(stderr, line.quiet));
  Reactor reactor;
  Ledger ledger(home.ledger);
  const auto runs = runs_to_follow(load_state(ledger), id);
  ExitCode code = ExitCode::kDone;
  for (const RunId& run : runs) {
    const RunState ended = follow(ledger, run, reactor, display);
    if (ended.status != RunStatus::kDone) code = ExitCode::kFailure;
    std::printf("run %s (%s): %s\n", ended.id.value.c_str(), printable(ended.configuration).c_str(),
                printable(ending_words(ended)).c_str());
    std::fflush(stdout);
  }
  for (const auto& sentence : recover(ledger)) display.note(sentence);
  if (runs.empty()) display.note("no run is left behind by its coordinator");
  return reactor.interrupts() > 0 ? ExitCode::kInterrupted : code;
}

constexpr const char* kWaitExamples = R"(
Examples:
  regatta wait          every Slurm job whose `regatta run` is gone, to its end
  regatta wait 01K5     one run or comparison, also one that another process follows

Slurm jobs outlive `regatta run`. This goes on where it stopped: follows, records, and makes the bill. As with `run`, Ctrl-C
stops the job cleanly, a second one cancels it. Exit code 0 when every run is done, 1 when one is not.
)";

}  // namespace

void add_wait(CLI::App& app, CommandLine& line) {
  const auto id = std::make_shared<std::string>();
  auto* command = app.add_subcommand("wait", "Go on with Slurm jobs whose `regatta run` is gone, to their end");
  command->add_option("id", *id, "Id, or its beginning; without one, all that were left behind")
      ->type_name("RUN|COMPARISON");
  command->footer(kWaitExamples);
  command->callback([&line, id] { line.chosen = [&line, id] { return wait(*id, line); }; });
}

}  // namespace regatta
