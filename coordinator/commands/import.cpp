#include "coordinator/import.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cluster/price_book.hpp"
#include "cluster/spec.hpp"
#include "coordinator/command.hpp"
#include "coordinator/home.hpp"
#include "coordinator/ownership.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

struct ImportOptions {
  fs::path run_dir;
  std::optional<fs::path> cluster;
};

/// The pool's own price, else that of the nearest instance, as `regatta run` would take it.
Price price_of(const Placement& placement, const std::optional<fs::path>& cluster) {
  if (cluster) {
    const ClusterSpec spec = read_cluster_file(*cluster);
    const PoolSpec* pool = spec.find(placement.pool);
    if (pool == nullptr) {
      std::string known;
      for (const auto& one : spec.pools) known += (known.empty() ? "" : ", ") + one.name;
      throw ConfigError(cluster->string() + ": the run was on pool \"" + placement.pool +
                        "\", which is not there\n  known: " + known);
    }
    if (pool->price) return *pool->price;
  }
  return assumed_price(load_price_book(), placement.cores_per_node);
}

ExitCode import(const ImportOptions& options, const CommandLine& line) {
  const Price price = price_of(plan_of_run(options.run_dir).placement, options.cluster);
  Ledger ledger(find_home(line.home).ledger);
  if (!line.quiet && !ledger.notice().empty()) std::fprintf(stderr, "regatta: %s\n", ledger.notice().c_str());
  for (const auto& sentence : recover(ledger)) std::fprintf(stderr, "regatta: %s\n", sentence.c_str());
  const Imported imported = import_run(ledger, options.run_dir, price);
  if (!line.quiet)
    std::fprintf(stderr, "regatta: %s\n",
                 imported.is_new ? "imported" : "the ledger knows this run already; nothing changed");
  std::puts(imported.run.value.c_str());
  return ExitCode::kDone;
}

constexpr const char* kImportExamples = R"(
Examples:
  mpirun -np 2 regatta-worker job.yaml --run-dir here    train by hand
  regatta import here                                    take it into the ledger; a second time changes nothing
  regatta import here --cluster cluster.yaml             with the price of its pool
)";

}  // namespace

void add_import(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<ImportOptions>();
  auto* command = app.add_subcommand("import", "Take a run that was started by hand into the ledger");
  command->add_option("run_dir", options->run_dir, "The run's folder")->required()->type_name("RUN_DIR");
  command->add_option("--cluster", options->cluster, "Prices of the pools; without it, of the nearest instance")
      ->type_name("FILE");
  command->footer(kImportExamples);
  command->callback([&line, options] { line.chosen = [&line, options] { return import(*options, line); }; });
}

}  // namespace regatta
