#include "coordinator/doctor.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "coordinator/command.hpp"
#include "coordinator/text_table.hpp"
#include "coordinator/worker_program.hpp"

namespace regatta {

namespace {

struct DoctorOptions {
  bool json = false;
  std::optional<std::filesystem::path> worker;
};

ExitCode doctor(const DoctorOptions& options) {
  const Diagnosis found = examine(find_worker(options.worker));
  const std::string text = options.json ? to_json(found).dump(2) + "\n" : to_page(found, wants_colour(STDOUT_FILENO));
  std::fputs(text.c_str(), stdout);
  return ExitCode::kDone;
}

constexpr const char* kDoctorExamples = R"(
Examples:
  regatta doctor           what this machine can do, and what keeps it from the rest
  regatta doctor --json    the same for a program

A "no" is no error: a machine without GPUs or energy meters trains all the same.
)";

}  // namespace

void add_doctor(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<DoctorOptions>();
  auto* command = app.add_subcommand("doctor", "What this machine can do, and why not: GPUs, energy meters");
  command->add_flag("--json", options->json, "Print JSON on stdout");
  command->add_option("--worker", options->worker, "The regatta-worker to ask; without it, the one beside this program")
      ->type_name("PATH");
  command->footer(kDoctorExamples);
  command->callback([&line, options] { line.chosen = [options] { return doctor(*options); }; });
}

}  // namespace regatta
