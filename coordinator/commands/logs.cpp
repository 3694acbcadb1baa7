#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "common/files.hpp"
#include "common/printable.hpp"
#include "coordinator/command.hpp"
#include "coordinator/ingest.hpp"
#include "coordinator/question.hpp"

namespace regatta {

namespace {

struct LogsOptions {
  std::string id;
  std::optional<int> rank, attempt;
};

int attempt_of(const RunState& run, const LogsOptions& options) {
  if (options.attempt) return *options.attempt;
  return run.attempts.empty() ? 1 : run.attempts.back().attempt;
}

/// Of one rank, or all: rank-*.log by rank, then the launcher's own.
std::vector<fs::path> logs_in(const fs::path& folder, std::optional<int> rank) {
  std::vector<fs::path> logs;
  const std::string only = rank ? "rank-" + std::to_string(*rank) + ".log" : "";
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing)) {
    const std::string name = entry.path().filename();
    if (entry.path().extension() == ".log" && (only.empty() || name == only)) logs.push_back(entry.path());
  }
  std::sort(logs.begin(), logs.end(), [](const fs::path& a, const fs::path& b) {
    const auto key = [](const fs::path& path) {
      const std::string name = path.filename();
      return std::make_tuple(!name.starts_with("rank-"), name.size(), name);  // rank-2 before rank-10
    };
    return key(a) < key(b);
  });
  return logs;
}

ExitCode logs(const LogsOptions& options, const CommandLine& line) {
  const Asked asked = ask_ledger(line);
  const Subject subject = find_subject(asked.state, options.id);
  if (subject.run == nullptr)
    throw Error(ExitCode::kFailure, options.id + " is a comparison: logs belong to a run\n  `regatta show " +
                                        options.id + "` lists its runs");
  const fs::path folder = attempt_folder(subject.run->run_dir, attempt_of(*subject.run, options));
  const auto found = logs_in(folder, options.rank);
  if (found.empty())
    throw Error(ExitCode::kFailure, folder.string() + ": no log" +
                                        (options.rank ? " of rank " + std::to_string(*options.rank) : "") +
                                        " there\n  the run never started, or its folder was moved");
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  for (const auto& log : found) {
    if (found.size() > 1) std::printf("== %s\n", log.filename().c_str());
    std::string text = read_file(log);
    if (terminal) text = printable_lines(text);  // into a file or a pipe as it is
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (!text.empty() && text.back() != '\n') std::putchar('\n');
  }
  return ExitCode::kDone;
}

constexpr const char* kLogsExamples = R"(
Examples:
  regatta logs 01K5             every rank of the last attempt, then the launcher
  regatta logs 01K5 --rank 1    one rank
)";

}  // namespace

void add_logs(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<LogsOptions>();
  auto* command = app.add_subcommand("logs", "What the ranks of a run wrote");
  command->add_option("run", options->id, "Id of the run, or its beginning")->required()->type_name("RUN");
  command->add_option("--rank", options->rank, "Only this rank")->type_name("R");
  command->add_option("--attempt", options->attempt, "This attempt; without it, the last")->type_name("K");
  command->footer(kLogsExamples);
  command->callback([&line, options] { line.chosen = [&line, options] { return logs(*options, line); }; });
}

}  // namespace regatta
