#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/command.hpp"
#include "coordinator/compared_runs.hpp"
#include "coordinator/comparison.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

namespace {

struct CompareOptions {
  std::vector<std::string> ids, prices;
  bool json = false, csv = false, markdown = false;
};

constexpr const char* kCompareExamples = R"(
Examples:
  regatta compare                        the latest comparison
  regatta compare 01JZ4 01JZ7            two comparisons, or runs, beside each other
  regatta compare --price here=2.10      the same seconds at another price; the ledger is not touched
  regatta compare --csv > rows.csv       one line a configuration
)";

ExitCode compare_command(const CompareOptions& options, const CommandLine& line) {
  const Asked asked = ask_ledger(line);
  const auto runs = compared_runs(asked, options.ids);
  const Comparison comparison = compare(runs, asked_prices(options.prices, runs));
  std::string text;
  if (options.json)
    text = to_json(comparison).dump(2) + "\n";
  else if (options.csv)
    text = to_csv(comparison);
  else if (options.markdown)
    text = to_markdown(comparison);
  else
    text = to_table(comparison, wants_colour(STDOUT_FILENO));
  std::fputs(text.c_str(), stdout);
  return ExitCode::kDone;
}

}  // namespace

void add_compare(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<CompareOptions>();
  auto* command = app.add_subcommand("compare", "Configurations side by side: seconds, dollars, agreement, verdict");
  command->footer(kCompareExamples);
  command->add_option("id", options->ids, "Ids, or their beginnings; without one, the latest comparison")
      ->type_name("COMPARISON|RUN");
  command->add_option("--price", options->prices, "Price recorded seconds as if a node of POOL cost USD an hour")
      ->type_name("POOL=USD")
      ->allow_extra_args(false);
  auto* json = command->add_flag("--json", options->json, "Print JSON on stdout");
  auto* csv = command->add_flag("--csv", options->csv, "Print CSV (RFC 4180) on stdout")->excludes(json);
  command->add_flag("--md", options->markdown, "Print Markdown on stdout")->excludes(json)->excludes(csv);
  command->callback([&line, options] { line.chosen = [&line, options] { return compare_command(*options, line); }; });
}

}  // namespace regatta
