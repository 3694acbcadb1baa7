#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "coordinator/command.hpp"
#include "coordinator/question.hpp"
#include "coordinator/run_listing.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

namespace {

constexpr std::int64_t kMostEntries = 1'000'000'000;

struct ListOptions {
  std::int64_t limit = 20;  // a screenful
  bool json = false;
};

ExitCode list(const ListOptions& options, const CommandLine& line) {
  const Asked asked = ask_ledger(line);
  const auto limit = options.limit == 0 ? std::nullopt : std::optional(static_cast<std::size_t>(options.limit));
  const auto entries = list_entries(asked.state, limit);
  if (options.json) {
    std::puts(to_json(entries).dump(2).c_str());
  } else if (entries.empty()) {
    std::puts(empty_words(asked.ledger).c_str());
  } else {
    std::fputs(to_table(entries, wants_colour(STDOUT_FILENO)).c_str(), stdout);
  }
  return ExitCode::kDone;
}

constexpr const char* kListExamples = R"(
Examples:
  regatta list              the latest comparisons, and runs started by hand
  regatta list --limit 0    all of them
  regatta list --json       with all digits, for a program
)";

}  // namespace

void add_list(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<ListOptions>();
  auto* command = app.add_subcommand("list", "Comparisons and runs, newest first");
  command->add_option("--limit", options->limit, "How many; 0 shows all")
      ->capture_default_str()
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{0}, kMostEntries));
  command->add_flag("--json", options->json, "Print JSON on stdout");
  command->footer(kListExamples);
  command->callback([&line, options] { line.chosen = [&line, options] { return list(*options, line); }; });
}

}  // namespace regatta
