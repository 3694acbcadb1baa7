#include "cluster/slurm_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/slurm_job.hpp"
#include "common/error.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

LaunchRequest request() {
  return {.worker = "/opt/regatta-worker",
          .plan = "/home/a b/runs/R/attempt-1/plan.json",
          .run_dir = "/home/a b/runs/R",
          .ranks = 5,
          .ranks_by_node = {2, 1, 1, 1},
          .job_name = "regatta-R-1",
          .threads = 2,
          .whole_nodes = true};
}

TEST(SlurmScript, SaysAllThatSlurmIsGiven) {
  const PoolSpec pool{.name = "batch",
                      .launcher = LauncherKind::kSlurm,
                      .partition = "main",
                      .account = "a",
                      .qos = "q",
                      .constraint = "c",
                      .time = "01:00:00",
                      .extra = {"--mem=4G"},
                      .interface = "eth1",
                      .gres = "gpu:2"};
  EXPECT_EQ(slurm_script(pool, request()), R"(#!/bin/bash
#SBATCH --job-name=regatta-R-1
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=2
#SBATCH --exclusive
#SBATCH --partition=main
#SBATCH --account=a
#SBATCH --qos=q
#SBATCH --constraint=c
#SBATCH --time=01:00:00
#SBATCH --mem=4G
#SBATCH --chdir="/home/a b/runs/R"
#SBATCH --output="/home/a b/runs/R/attempt-1/launch.log"
#SBATCH --open-mode=append
#SBATCH --requeue

# Started again by Slurm, or given up meanwhile: what the first start wrote stays as it is.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] || [ -e '/home/a b/runs/R/attempt-1/given-up' ]; then exit 11; fi

export REGATTA_HELD_SINCE=$(date +%s)  # what was spent in the queue is not billed
export OMPI_MCA_btl_tcp_if_include=eth1
exec srun --mpi=pmix --kill-on-bad-exit=1 --nodes=4 --ntasks=5 --cpus-per-task=2 --distribution=block \
  /opt/regatta-worker \
  --plan '/home/a b/runs/R/attempt-1/plan.json' \
  --run-dir '/home/a b/runs/R'
)");
}

TEST(SlurmScript, RanksOnGpusTakeTheirs) {
  PoolSpec pool{.launcher = LauncherKind::kSlurm};
  LaunchRequest gpus = request();
  gpus.gpus_on_node = 2;
  EXPECT_THAT(slurm_script(pool, gpus), HasSubstr("\n#SBATCH --gres=gpu:2\n"));
  pool.gres = "gpu:a100:2";
  EXPECT_THAT(slurm_script(pool, gpus), HasSubstr("\n#SBATCH --gres=gpu:a100:2\n"));
  EXPECT_THAT(slurm_script(pool, request()), Not(HasSubstr("gres"))) << "ranks on cores take none";
  gpus.whole_nodes = false;
  EXPECT_THAT(slurm_script(pool, gpus), Not(HasSubstr("exclusive"))) << "who pays for slots shares the node";
}

// A job that asks for more tasks than a node has cores never starts; its ranks share the cores that there are.
TEST(SlurmScript, MoreRanksThanCoresShareThem) {
  const PoolSpec pool{.launcher = LauncherKind::kSlurm};
  LaunchRequest shared = request();
  shared.contended = true;
  shared.ranks_by_node = {3, 2};  // of two threads each, on five cores
  shared.cores_on_node = 5;
  EXPECT_THAT(slurm_script(pool, shared), HasSubstr("#SBATCH --ntasks-per-node=2\n#SBATCH --cpus-per-task=2\n"));
  EXPECT_THAT(slurm_script(pool, shared),
              HasSubstr("--ntasks=5 --cpus-per-task=2 --distribution=block --overcommit \\\n"));
  EXPECT_THAT(slurm_script(pool, shared), HasSubstr("\nexport OMPI_MCA_mpi_yield_when_idle=1\n"));
  shared.threads = 8;
  EXPECT_THAT(slurm_script(pool, shared), HasSubstr("#SBATCH --ntasks-per-node=1\n#SBATCH --cpus-per-task=5\n"));
  shared.threads = 1;
  EXPECT_THAT(slurm_script(pool, shared), Not(HasSubstr("overcommit"))) << "three ranks have a core each";
  EXPECT_THAT(slurm_script(pool, shared), HasSubstr("#SBATCH --ntasks-per-node=3\n"));
}

// Within an allocation there is no script that would export it.
TEST(SlurmScript, AStepOfAnAllocationKnowsWhatTheScriptExports) {
  const PoolSpec pool{.launcher = LauncherKind::kSlurm, .interface = "eth1"};
  LaunchRequest contended = request();
  contended.contended = true;
  EXPECT_THAT(
      slurm_step_environment(pool, contended, {"SLURM_JOB_ID=7", "OMPI_MCA_btl_tcp_if_include=lo", "A=b"}),
      ElementsAre("SLURM_JOB_ID=7", "A=b", "OMPI_MCA_btl_tcp_if_include=eth1", "OMPI_MCA_mpi_yield_when_idle=1"));
}

// The script itself, by a shell: a start after the first one writes nothing and leaves with 11.
TEST(SlurmScript, StartedAgainItDoesNothing) {
  const TemporaryFolder folder;
  LaunchRequest here = request();
  here.run_dir = folder.path();
  here.plan = folder.path() / "attempt-1" / "plan.json";
  std::filesystem::create_directories(folder.path() / "attempt-1");
  folder.write("bin/srun", "#!/bin/sh\necho ran >" + (folder.path() / "ran").string() + "\nexit 3\n");
  std::filesystem::permissions(folder.path() / "bin/srun", std::filesystem::perms::all);
  const auto script = folder.write("job.sh", slurm_script({.launcher = LauncherKind::kSlurm}, here));
  const std::string path = (folder.path() / "bin").string() + ":/usr/bin:/bin";
  EXPECT_EQ(run({"bash", script}, {.environment = {{"PATH", path}, {"SLURM_RESTART_COUNT", "1"}}}).exit_code, 11);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "ran"));
  EXPECT_EQ(run({"bash", script}, {.environment = {{"PATH", path}}}).exit_code, 3) << "the job's code is srun's";
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "ran"));
  std::filesystem::remove(folder.path() / "ran");
  folder.write("attempt-1/given-up", "");
  EXPECT_EQ(run({"bash", script}, {.environment = {{"PATH", path}}}).exit_code, 11) << "given up";
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "ran"));
}

TEST(SlurmScript, WordsThatWouldBeMoreThanAWordAreRefused) {
  for (const char* good : {"main", "gpu:a100:2", "1-00:00:00", "a&b|c", "[rack1|rack2]", "a,b", "p_1.x"})
    EXPECT_EQ(wrong_slurm_word(good), "") << good;
  for (const char* bad : {"", "-x", "--wrap=rm", "a b", "a\nb", "a\n#SBATCH --uid=0", "a\"b", "a'b", "a#b", "$HOME",
                          "a\\b", "a\tb", "\x7f", "\xc3\xa4"})
    EXPECT_NE(wrong_slurm_word(bad), "") << bad;
  for (const char* good : {"--mem=4G", "--exclude=n[1-2]", "--contiguous", "--mail-user=a@b.org", "--time-min=5"})
    EXPECT_EQ(wrong_slurm_option(good), "") << good;
  for (const char* bad : {"", "--", "-x", "mem=4G", "--mem 4G", "--mem=4G\n--x", "--wrap=true", "--output=/etc/x",
                          "--job-name=x", "--no-requeue", "--array=1-9", "--arr=1-9", "--clusters=b", "--wait",
                          "--partition=b", "--oversubscribe", "--over", "--time=1"})
    EXPECT_NE(wrong_slurm_option(bad), "") << bad;
}

TEST(SlurmScript, APathIsOneLine) {
  LaunchRequest odd = request();
  odd.run_dir = "/home/a\n#SBATCH --uid=0";
  EXPECT_THROW(slurm_script({.launcher = LauncherKind::kSlurm}, odd), ConfigError);
  odd.run_dir = "/home/100%j \"q\"";
  odd.plan = "/home/100%j/attempt-1/plan.json";
  EXPECT_THAT(slurm_script({.launcher = LauncherKind::kSlurm}, odd),
              AllOf(HasSubstr("--chdir=\"/home/100%j \\\"q\\\"\""),
                    HasSubstr("--output=\"/home/100%%j/attempt-1/launch.log\"")))
      << "sbatch looks for patterns in one of them";
}

TEST(SlurmEnvironment, KeepsWhatASiteSetsAndDropsWhatChangesAJob) {
  EXPECT_THAT(slurm_environment({"PATH=/bin", "SLURM_CONF=/etc/s.conf", "SBATCH_PARTITION=p", "SLURM_JOB_ID=7",
                                 "SQUEUE_FORMAT=%i", "SLURM_TIME_FORMAT=relative", "OMPI_MCA_btl=tcp,self"}),
              ElementsAre("PATH=/bin", "SLURM_CONF=/etc/s.conf", "OMPI_MCA_btl=tcp,self"));
}

}  // namespace
}  // namespace regatta::test
