// What a launch says: command line, environment, script, and exit codes in words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "cluster/launcher.hpp"
#include "common/error.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(LocalCommand, OneRankNeedsNoLauncher) {
  EXPECT_THAT(local_command({.worker = "/opt/regatta-worker", .plan = "/r/attempt-1/plan.json", .run_dir = "/r"}),
              ElementsAre("/opt/regatta-worker", "--plan", "/r/attempt-1/plan.json", "--run-dir", "/r"));
}

TEST(LocalCommand, MoreRanksGoThroughMpirun) {
  EXPECT_THAT(local_command({.worker = "/w", .plan = "/p", .run_dir = "/r", .ranks = 3}),
              ElementsAre("mpirun", "-np", "3", "--bind-to", "none", "--oversubscribe", "/w", "--plan", "/p",
                          "--run-dir", "/r"));
}

TEST(LocalCommand, ContendedRanksYield) {
  EXPECT_THAT(local_command({.worker = "/w", .plan = "/p", .run_dir = "/r", .ranks = 8, .contended = true}),
              ElementsAre("mpirun", "-np", "8", "--bind-to", "none", "--oversubscribe", "--mca", "mpi_yield_when_idle",
                          "1", "/w", "--plan", "/p", "--run-dir", "/r"));
}

TEST(LocalEnvironment, ForgetsAnAllocationAndKeepsTheUsersTuning) {
  EXPECT_THAT(
      local_environment({"PATH=/bin", "SLURM_NTASKS=4", "PMIX_RANK=0", "PMI_SIZE=2", "OMPI_MCA_btl=tcp,self",
                         "PMIX_MCA_gds=hash", "SLURM_TMPDIR=/scratch/7", "EMPTY="},
                        false),
      ElementsAre("PATH=/bin", "OMPI_MCA_btl=tcp,self", "PMIX_MCA_gds=hash", "SLURM_TMPDIR=/scratch/7", "EMPTY="));
}

TEST(LocalEnvironment, ForgetsAnOuterMpirun) {
  EXPECT_THAT(local_environment({"OMPI_MCA_orte_hnp_uri=1.0;tcp://", "A=b", "OMPI_COMM_WORLD_SIZE=2"}, false),
              ElementsAre("A=b"));
}

TEST(LocalEnvironment, RootSaysSoOnce) {
  EXPECT_THAT(local_environment({"OMPI_ALLOW_RUN_AS_ROOT=0", "A=b"}, true),
              ElementsAre("A=b", "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"));
  EXPECT_THAT(local_environment({"OMPI_ALLOW_RUN_AS_ROOT=1", "A=b"}, false), ElementsAre("A=b"));
}

// printf repeats its format for each argument, so the output shows where arguments begin and end.
const std::vector<std::string> kAwkward = {
    "a b", "it's",  "\"twice\"", "$HOME `id` $(id)", "back\\slash",       "two\nlines",
    "",    "-dash", "*",         "; exit 3",         "/a/path with space"};
std::string bracketed(const std::vector<std::string>& arguments) {
  std::string text;
  for (const auto& argument : arguments) text += "[" + argument + "]";
  return text;
}

TEST(LaunchScript, EveryArgumentSurvives) {
  const test::TemporaryFolder folder;
  std::vector<std::string> argv = {"/usr/bin/printf", "[%s]"};
  argv.insert(argv.end(), kAwkward.begin(), kAwkward.end());
  const auto result = test::run({"/bin/sh", folder.write("launch.sh", launch_script(argv))});
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_EQ(result.out, bracketed(kAwkward));
}

TEST(LaunchScript, EveryArgumentSurvivesMpirunToo) {
  const test::TemporaryFolder folder;
  // One rank: mpirun mixes the lines of several.
  std::vector<std::string> argv = {"mpirun",          "-np", "1", "--bind-to", "none", "--oversubscribe",
                                   "/usr/bin/printf", "[%s]"};
  argv.insert(argv.end(), kAwkward.begin(), kAwkward.end());
  const auto result = test::run({"/bin/sh", folder.write("launch.sh", launch_script(argv))});
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_EQ(result.out, bracketed(kAwkward));
}

TEST(DescribeExit, SaysWhatEachCodeMeans) {
  const std::vector<std::pair<ExitStatus, std::string>> cases = {
      {{.code = 0}, "done"},
      {{.code = 2}, "bad job file"},
      {{.code = 10}, "data set"},
      {{.code = 11}, "MPI"},
      {{.code = 12}, "a rank was lost"},
      {{.code = 13}, "train.deadline"},
      {{.code = 14}, "loss is not finite"},
      {{.code = 15}, "a file could not be"},
      {{.code = 16}, "out of memory"},
      {{.code = 75}, "stopped on request"},
      {{.code = 110}, "timed out in mpirun"},
      {{.code = 132}, "could not start the program"},
      {{.code = 137}, "a rank was killed by signal 9 (SIGKILL): out of memory"},
      {{.code = 139}, "a rank was ended by signal 11 (SIGSEGV)"},
      {{.code = 205}, "a host was lost"},
      {{.code = 255}, "could not start its daemon on a host"},
      {{.code = 77}, "exit code 77"},
      {{.code = 137, .signal = 9}, "the launched program was killed by signal 9"},
      {{.code = 138, .signal = 10}, "asked to stop before it could do so cleanly"},
  };
  for (const auto& [status, words] : cases) EXPECT_THAT(describe_exit(status), HasSubstr(words)) << status.code;
}

}  // namespace
}  // namespace regatta
