#pragma once
// The command line of `regatta`: one file a command under commands/, each adds its own subcommand.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/error.hpp"

namespace CLI {
class App;
}

namespace regatta {

/// What all commands share. A chosen subcommand sets `chosen`; main.cpp calls it and makes errors exit codes.
struct CommandLine {
  std::optional<std::filesystem::path> home;  ///< --home
  bool quiet = false;                         ///< --quiet: results only
  std::vector<std::string> argv;              ///< as typed, for the ledger
  std::function<ExitCode()> chosen;
};

void add_run(CLI::App& app, CommandLine& line);
void add_list(CLI::App& app, CommandLine& line);
void add_show(CLI::App& app, CommandLine& line);
void add_logs(CLI::App& app, CommandLine& line);
void add_compare(CLI::App& app, CommandLine& line);
void add_wait(CLI::App& app, CommandLine& line);
void add_sbatch(CLI::App& app, CommandLine& line);
void add_import(CLI::App& app, CommandLine& line);
void add_export(CLI::App& app, CommandLine& line);
void add_doctor(CLI::App& app, CommandLine& line);

}  // namespace regatta
