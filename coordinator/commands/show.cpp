#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "common/files.hpp"
#include "common/printable.hpp"
#include "coordinator/chrome_trace.hpp"
#include "coordinator/command.hpp"
#include "coordinator/question.hpp"
#include "coordinator/run_words.hpp"
#include "coordinator/step_anatomy.hpp"
#include "coordinator/step_files.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

namespace {

struct ShowOptions {
  std::string id;
  bool json = false, steps = false;
  std::optional<std::filesystem::path> trace;
};

/// Steps belong to a run; so does a comparison of one.
const RunState& run_with_steps(const Subject& subject, const State& state) {
  if (subject.run != nullptr) return *subject.run;
  const auto runs = runs_of(*subject.comparison, state);
  if (runs.size() == 1) return *runs.front();
  std::string list;
  for (const RunState* run : runs) list += "\n    " + run->id.value + "  " + printable(run->configuration);
  throw ConfigError(subject.comparison->id.value + " is a comparison (expected a run: steps belong to one)\n" +
                    "  ask for one of its runs:" + list);
}

ExitCode show_steps(const RunState& run, const ShowOptions& options, const CommandLine& line) {
  const std::vector<RankSteps> ranks = read_steps(run);
  const StepAnatomy anatomy = anatomy_of(ranks);
  if (options.trace) write_file_atomically(*options.trace, chrome_trace(ranks));
  if (options.json) {
    std::puts(to_json(anatomy).dump(2).c_str());
    return ExitCode::kDone;
  }
  if (options.steps) std::fputs(to_page(anatomy, wants_colour(STDOUT_FILENO)).c_str(), stdout);
  if (options.trace && !line.quiet)
    std::printf("%s%s: %zu steps of %zu ranks\n  open it in https://ui.perfetto.dev or chrome://tracing\n",
                options.steps ? "\n" : "", printable(options.trace->string()).c_str(), anatomy.steps.size(),
                ranks.size());
  return ExitCode::kDone;
}

ExitCode show(const ShowOptions& options, const CommandLine& line) {
  const Asked asked = ask_ledger(line);
  const Subject subject = options.id.empty() ? latest_subject(asked) : find_subject(asked.state, options.id);
  if (options.steps || options.trace) return show_steps(run_with_steps(subject, asked.state), options, line);
  const bool colour = wants_colour(STDOUT_FILENO);
  std::string text;
  if (subject.run != nullptr)
    text = options.json ? to_json(*subject.run).dump(2) + "\n" : to_page(*subject.run, colour);
  else
    text = options.json ? to_json(*subject.comparison, asked.state).dump(2) + "\n"
                        : to_page(*subject.comparison, asked.state, colour);
  std::fputs(text.c_str(), stdout);
  return ExitCode::kDone;
}

constexpr const char* kShowExamples = R"(
Examples:
  regatta show                          the latest comparison
  regatta show 01K5                     the run or comparison whose id begins so, as `regatta list` prints it
  regatta show 01K5 --json              everything the ledger knows of it
  regatta show 01K5 --steps             where the time of a step goes, by rank and by bucket of gradients
  regatta show 01K5 --trace trace.json  the same steps on a time line, for https://ui.perfetto.dev

Each rank of a run keeps its steps 11 to 30 and its last 20. What it does in a step:
  data      waits for the next batch          wait   for the others' gradients; over MPI, the whole sum
  forward, backward                           apply  sums its slices, updates the weights
  publish   hands over its gradients          meet   waits until all ranks have applied
  reduce    sums before clipping              sum    a few numbers over all ranks: batch norm, clipping
)";

}  // namespace

void add_show(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<ShowOptions>();
  auto* command = app.add_subcommand("show", "One run or comparison: how it ended, epochs, ranks, bill");
  command->add_option("id", options->id, "Id, or its beginning; without one, the latest")->type_name("RUN|COMPARISON");
  command->add_flag("--json", options->json, "Print everything that is known as JSON on stdout");
  command->add_flag("--steps", options->steps, "Where the time of a step of this run goes");
  command->add_option("--trace", options->trace, "Write the steps of this run here, in Chrome's trace format")
      ->type_name("FILE")
      ->check([](const std::string& file) { return file.empty() ? "expected a file's name, found nothing" : ""; });
  command->footer(kShowExamples);
  command->callback([&line, options] { line.chosen = [&line, options] { return show(*options, line); }; });
}

}  // namespace regatta
