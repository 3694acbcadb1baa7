#include "worker/run_folder.hpp"

#include <cstdlib>
#include <system_error>

#include "cluster/launcher.hpp"
#include "common/files.hpp"
#include "jobs/plan_files.hpp"

namespace regatta {

namespace {

fs::path home_folder(const WorkerOptions& options) {
  if (options.home) return fs::absolute(*options.home);
  if (const char* home = std::getenv("REGATTA_HOME"); home != nullptr && *home != '\0') return fs::absolute(home);
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0')
    throw ConfigError("neither --home, $REGATTA_HOME nor $HOME says where runs are kept; give --run-dir DIR");
  return fs::path(home) / ".regatta";
}

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError("cannot make " + folder.string() + ": " + error.message());
}

}  // namespace

RunFolder run_folder(const WorkerOptions& options, const Plan& plan) {
  const fs::path run =
      options.run_dir ? fs::absolute(*options.run_dir) : home_folder(options) / "runs" / plan.run.value;
  return {run, run / ("attempt-" + std::to_string(plan.attempt))};
}

void refuse_used(const RunFolder& folder) {
  const fs::path journal = folder.attempt / "journal.jsonl";
  if (fs::exists(journal))
    throw ConfigError(
        "--run-dir: " + journal.string() +
        " exists: this folder holds a run already, and nothing is written over\n  Give another --run-dir, "
        "or none for a fresh one.");
}

void prepare_run_folder(const RunFolder& folder, const WorkerOptions& options, const Plan& plan) {
  make_folders(folder.attempt);
  if (!options.job) return;
  const LaunchRequest again{.worker = fs::read_symlink("/proc/self/exe"),
                            .plan = folder.attempt / "plan.json",
                            .run_dir = folder.run,
                            .ranks = plan.placement.ranks,
                            .contended = plan.placement.contended};
  write_file_atomically(folder.run / "job.yaml", read_file(*options.job));
  write_plan(plan, folder.attempt);
  write_file_atomically(folder.attempt / "launch.sh", launch_script(local_command(again)), 0755);
}

}  // namespace regatta
