// `regatta`: builds the command line, calls the chosen command, and translates errors into exit codes.

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>

#include "common/printable.hpp"
#include "coordinator/command.hpp"

namespace {

using regatta::ExitCode;

constexpr const char* kAbout =
    "Runs one data-parallel training job on every configuration you have, with the same data, seed and global batch,\n"
    "and says which one is cheapest, which is fastest, and by how much.";

constexpr const char* kExamples = R"(
Examples:
  regatta run job.yaml                    train every configuration, compare, give the verdict
  regatta run job.yaml --dry-run          see the plan and its price first
  regatta sbatch job.yaml --only BIG      the batch script that a Slurm pool would get
  regatta wait                            go on with Slurm jobs whose `regatta run` is gone
  regatta compare                         the latest comparison again
  regatta compare --price here=2.10       the same seconds at another price
  regatta list                            what has run
  regatta show RUN                        one run: bill, epochs, ranks
  regatta show RUN --steps                where the time of a step goes, by rank and bucket
  regatta import RUN_DIR                  a run started by hand under mpirun
  regatta doctor                          what this machine can do: GPUs, energy meters

Exit codes: 0 done, 1 a configuration failed or was refused, or a question has no answer, 2 a file or the command line is wrong, 10 data,
15 disk, 130 Ctrl-C.

Environment:
  REGATTA_HOME    the ledger and the run folders, as --home; without it, ~/.regatta
  REGATTA_LEDGER  the ledger alone, when the home lies on a network file system; without it, HOME/ledger.db
  REGATTA_PRICES  a price book in place of the built-in one
  REGATTA_SLOTS   the lock that timed runs of this machine share; without it, /dev/shm/regatta-slots.lock
  NO_COLOR        no colours, whatever the terminal
)";

int fail(const char* message, ExitCode code) {
  std::fprintf(stderr, "regatta: %s\n", regatta::printable_lines(message).c_str());  // it may quote a file
  return static_cast<int>(code);
}

int run(int argc, char** argv) {
  CLI::App app{kAbout, "regatta"};
  regatta::CommandLine line;
  line.argv.assign(argv, argv + argc);
  app.footer(kExamples);
  app.set_version_flag("--version", "regatta " REGATTA_VERSION);
  app.add_option("--home", line.home, "Folder of the ledger and the runs")
      ->type_name("DIR")
      ->check([](const std::string& folder) { return folder.empty() ? "expected a folder, found nothing" : ""; });
  app.add_flag("--quiet", line.quiet, "Results and failures only");
  app.require_subcommand(0, 1);
  app.fallthrough();  // so that --home and --quiet may stand behind the command

  add_run(app, line);
  add_sbatch(app, line);
  add_wait(app, line);
  add_list(app, line);
  add_show(app, line);
  add_logs(app, line);
  add_compare(app, line);
  add_import(app, line);
  add_export(app, line);
  add_doctor(app, line);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return fail((std::string(error.what()) + "\n  see regatta --help").c_str(), ExitCode::kBadConfig);
  }
  if (!line.chosen) {
    std::fputs(app.help().c_str(), stderr);
    return static_cast<int>(ExitCode::kBadConfig);
  }
  return static_cast<int>(line.chosen());
}

/// What could not be printed was not said: a full disk or a closed pipe is no success.
int checked(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  return code != 0 ? code : fail("cannot write to standard output", ExitCode::kDisk);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // whoever stops reading progress does not end a run that is paid for
  try {
    return checked(run(argc, argv));
  } catch (const regatta::Error& error) {
    return fail(error.what(), error.exit_code());
  } catch (const std::filesystem::filesystem_error& error) {
    return fail((error.path1().string() + ": " + error.code().message() +
                 "\n  give Regatta a folder it may write: --home DIR or $REGATTA_HOME")
                    .c_str(),
                ExitCode::kDisk);
  } catch (const std::exception& error) {
    return fail(error.what(), ExitCode::kFailure);
  }
}
