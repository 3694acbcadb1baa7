#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "coordinator/command.hpp"
#include "coordinator/question.hpp"
#include "coordinator/run_words.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

namespace {

struct ShowOptions {
  std::string id;
  bool json = false;
};

ExitCode show(const ShowOptions& options, const CommandLine& line) {
  const Asked asked = ask_ledger(line);
  const Subject subject = options.id.empty() ? latest_subject(asked) : find_subject(asked.state, options.id);
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
  regatta show              the latest comparison
  regatta show 01K5         the run or comparison whose id begins so, as `regatta list` prints it
  regatta show 01K5 --json  everything the ledger knows of it
)";

}  // namespace

void add_show(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<ShowOptions>();
  auto* command = app.add_subcommand("show", "One run or comparison: how it ended, epochs, ranks, bill");
  command->add_option("id", options->id, "Id, or its beginning; without one, the latest")->type_name("RUN|COMPARISON");
  command->add_flag("--json", options->json, "Print everything that is known as JSON on stdout");
  command->footer(kShowExamples);
  command->callback([&line, options] { line.chosen = [&line, options] { return show(*options, line); }; });
}

}  // namespace regatta
