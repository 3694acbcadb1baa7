// Regatta without its coordinator, on real hosts: the example scripts as they are committed, and launchers that start
// ranks which do not find each other.
#include <gmock/gmock.h>

#include <cstdlib>
#include <regex>
#include <set>

#include "common/files.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

const fs::path kExamples = fs::path(REGATTA_SOURCE_DIR) / "jobs/examples";

constexpr const char* kByHandJob = R"(name: tiny
model: {kind: mlp, hidden: [32]}
data: {format: synthetic, samples: 640, shape: [1, 28, 28], classes: 10}
train: {batch: 64}
stop: {epochs: 1}
configurations:
  - {name: one, ranks: 1}
  - {name: two, ranks: 2}
)";

/// A user's shell on the head: regatta's programs are in PATH, the folder is one that all hosts see.
class ByHand : public BedTest {
 protected:
  ByHand() : BedTest({.slurm = true}) {}

  ProcessResult shell(const std::vector<std::string>& command, const fs::path& folder) {
    const ProcessOptions options{
        .environment = {{"PATH", fs::path(REGATTA_BIN_DIR).string() + ":" + std::getenv("PATH")},
                        {"OMPI_MCA_mpi_yield_when_idle", "1"},  // fewer cores than ranks
                        {"REGATTA_HOME", home()}},
        .folder = folder};
    return run(bed().on("n0", command), options, std::chrono::seconds(120));
  }
  /// Submits, waits for the job's end, and gives what its first task wrote.
  std::string submit(const std::string& options_and_script, const fs::path& folder) {
    const auto submitted = shell({"sh", "-c", "sbatch --parsable " + options_and_script}, folder);
    EXPECT_EQ(submitted.exit_code, 0) << submitted.text();
    const std::string job = submitted.out.substr(0, submitted.out.find_first_of(";\n"));
    const auto ended = [&] {
      const auto state = shell({"squeue", "-h", "-j", job, "-t", "PENDING,RUNNING,COMPLETING"}, folder);
      return state.exit_code == 0 && state.out.empty();
    };
    EXPECT_TRUE(wait_until(ended, std::chrono::seconds(90))) << "job " << job;
    return job;
  }
};

/// The files beside each other as in the clone, and not a byte of them changed.
TEST_F(ByHand, TheExampleScriptsRunAsTheyAreAndAreImported) {
  const fs::path folder = bed().folder() / "scripts";
  fs::copy(kExamples / "scripts", folder, fs::copy_options::recursive);
  fs::create_directory_symlink(kExamples / "data", bed().folder() / "data");

  const auto by_mpirun = shell({"./mpirun.sh"}, folder);
  ASSERT_EQ(by_mpirun.exit_code, 0) << by_mpirun.text();
  EXPECT_THAT(by_mpirun.out, HasSubstr("regatta import runs/mpirun-"));
  const std::string by_srun = submit("srun.sbatch", folder);
  EXPECT_TRUE(fs::exists(folder / "runs" / by_srun / "result.json"))
      << read_file(folder / ("slurm-" + by_srun + ".out"));
  const std::string array = submit("array.sbatch", folder);

  const auto imported = shell({"sh", "-c", "set -e; for run in runs/*; do regatta import \"$run\"; done"}, folder);
  ASSERT_EQ(imported.exit_code, 0) << imported.text();
  const State all = state();
  std::vector<std::string> rows;
  for (const auto& [id, run] : all.runs) {
    EXPECT_EQ(std::string(to_text(run.status)), "done") << run.configuration;
    std::set<std::string> hosts;
    for (const auto& place : run.attempts.at(0).start->ranks) hosts.insert(place.host);
    rows.push_back(fs::path(run.run_dir).filename().string().substr(0, 7) == "mpirun-"
                       ? "mpirun"
                       : fs::path(run.run_dir).filename());
    rows.back() += ": " + run.configuration + " on " + std::to_string(hosts.size());
  }
  EXPECT_THAT(rows, UnorderedElementsAre("mpirun: two-ranks on 1", by_srun + ": four-ranks on 2",
                                         array + "_one-rank: one-rank on 1", array + "_two-ranks: two-ranks on 1",
                                         array + "_four-ranks: four-ranks on 1"));
  int scripts = 0;
  for (const auto& committed : fs::directory_iterator(kExamples / "scripts")) {
    EXPECT_EQ(read_file(folder / committed.path().filename()), read_file(committed.path())) << committed.path();
    ++scripts;
  }
  EXPECT_EQ(scripts, 4) << "three scripts and their job";
  EXPECT_EQ(bed().strays({"n0", "n1", "n2", "n3", "n4"}), "");
}

// 70 s: nobody can ask the hosts, so the journal has to rest for a minute.
TEST_F(ByHand, LongARunThatWasKilledOnOtherHostsIsLostAfterAMinute) {
  const auto job = write("job.yaml", std::regex_replace(kByHandJob, std::regex("epochs: 1"), "max_time: 300"));
  const fs::path folder = job.parent_path();
  const auto submitted = shell({"sbatch", "-N2", "-n2", "-o", "killed.out", "--wrap",
                                "srun --mpi=pmix -K regatta-worker job.yaml --run-dir killed"},
                               folder);
  ASSERT_EQ(submitted.exit_code, 0) << submitted.text();
  const fs::path journal = folder / "killed/attempt-1/journal.jsonl";
  ASSERT_TRUE(
      wait_until([&] { return fs::exists(journal) && read_file(journal).find("\"epoch\"") != std::string::npos; },
                 std::chrono::seconds(30)));
  for (const char* host : {"n1", "n2"}) bed().run_on(host, {"pkill", "-9", "-x", "regatta-worker"});
  const auto at_once = shell({"regatta", "import", "killed"}, folder);
  EXPECT_EQ(at_once.exit_code, 10) << at_once.text();
  EXPECT_THAT(at_once.err, AllOf(HasSubstr("may still be written by rank 0 on n1"), HasSubstr("counts as lost in ")));
  ProcessResult later;
  EXPECT_TRUE(wait_until(
      [&] {
        later = shell({"regatta", "import", "killed"}, folder);
        return later.exit_code == 0;
      },
      std::chrono::seconds(75)))
      << later.text();
  State state;
  for (const auto& event : Ledger(home() / "ledger.db").events()) apply(state, event);
  ASSERT_EQ(state.runs.size(), 1U);
  EXPECT_EQ(state.runs.begin()->second.status, RunStatus::kLost);
  EXPECT_THAT(state.runs.begin()->second.reason, HasSubstr("without a stop line"));
}

TEST_F(ByHand, AWrongOrMissingLauncherIsSaidAndNobodyTrainsAlone) {
  const auto job = write("job.yaml", kByHandJob);
  const fs::path folder = job.parent_path();
  const auto expect_refused = [&](const std::string& text, const std::string& why) {
    EXPECT_THAT(text, AllOf(HasSubstr(why), HasSubstr("srun --mpi=pmix"), Not(HasSubstr("first step done"))));
    EXPECT_EQ(text.find(why), text.rfind(why)) << "once, not once a rank: " << text;
  };
  for (const std::string type : {"none", "pmi2"}) {
    const auto by_srun = shell({"srun", "-N2", "-n2", "--mpi=" + type, "regatta-worker", "job.yaml"}, folder);
    EXPECT_EQ(by_srun.exit_code, 11) << by_srun.text();
    expect_refused(by_srun.text(), "srun started 2 tasks with --mpi=" + type);
  }
  const std::string alone = submit("-n2 -o alone.out --wrap 'regatta-worker job.yaml'", folder);
  expect_refused(read_file(folder / "alone.out"), "this Slurm job has 2 tasks, and nothing started them");
  const auto in_salloc = shell({"salloc", "-n2", "regatta-worker", "job.yaml"}, folder);
  EXPECT_EQ(in_salloc.exit_code, 11) << in_salloc.text();
  expect_refused(in_salloc.text(), "this Slurm job has 2 tasks, and nothing started them");
  EXPECT_FALSE(fs::exists(home() / "runs")) << "nothing was begun";

  for (const std::vector<std::string>& right :
       {std::vector<std::string>{"srun", "--mpi=pmix", "-N2", "-n2", "regatta-worker", "job.yaml"},
        {"salloc", "-N2", "-n2", "mpirun", "regatta-worker", "job.yaml"},
        {"srun", "--mpi=none", "-n1", "regatta-worker", "job.yaml"}}) {
    const auto trained = shell(right, folder);
    EXPECT_EQ(trained.exit_code, 0) << trained.text();
    EXPECT_THAT(trained.err, HasSubstr(right.front() == "srun" && right[1] == "--mpi=none" ? "configuration one"
                                                                                           : "configuration two"));
  }
}

}  // namespace
}  // namespace regatta::test
