// The reading of Slurm's words: what Slurm 22.05 printed on the hosts of tests/cluster/bed, with TZ=UTC0.
#include "cluster/slurm_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.hpp"

namespace regatta::test {
namespace {

// `scontrol show job -o 16` when a job of another partition had taken its nodes: no PREEMPTED, because its script
// ended.
constexpr const char* kPreempted =
    "JobId=16 JobName=s UserId=root(0) GroupId=root(0) MCS_label=N/A Priority=4294901744 Nice=0 Account=(null) "
    "QOS=(null) JobState=FAILED Reason=NonZeroExitCode Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 "
    "ExitCode=75:0 RunTime=00:00:04 TimeLimit=365-00:00:00 TimeMin=N/A SubmitTime=2026-11-22T04:40:11 "
    "EligibleTime=2026-11-22T04:40:11 AccrueTime=2026-11-22T04:40:11 StartTime=2026-11-22T04:40:11 "
    "EndTime=2026-11-22T04:40:15 Deadline=N/A PreemptEligibleTime=2026-11-22T04:40:11 "
    "PreemptTime=2026-11-22T04:40:14 SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-22T04:40:11 "
    "Scheduler=Backfill Partition=low AllocNode:Sid=n0:0 ReqNodeList=(null) ExcNodeList=(null) NodeList=n[1-4] "
    "BatchHost=n1 NumNodes=4 NumCPUs=4 NumTasks=4 CPUs/Task=1 ReqB:S:C:T=0:0:*:* TRES=cpu=4,node=4,billing=4 "
    "Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=* MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0 "
    "Features=(null) DelayBoot=00:00:00 OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null) "
    "Command=/tmp/b/srun.sh WorkDir=/tmp StdErr=/tmp/b/preempt.out StdIn=/dev/null StdOut=/tmp/b/preempt.out Power= \n";

std::string with(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

Timestamp at(const char* text) {
  return parse_timestamp(std::string(text) + ".000000Z");
}

TEST(SlurmWords, ReadAJobOfScontrol) {
  const auto view = parse_scontrol_job(kPreempted);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->id, "16");
  EXPECT_EQ(view->name, "s");
  EXPECT_EQ(view->state, "FAILED");
  EXPECT_EQ(view->reason, "NonZeroExitCode");
  EXPECT_EQ(view->nodes, "n[1-4]");
  EXPECT_EQ(view->restarts, 0);
  EXPECT_EQ(view->exit_code, 75);
  EXPECT_EQ(view->exit_signal, 0);
  EXPECT_EQ(view->submitted, at("2026-11-22T04:40:11"));
  EXPECT_EQ(view->started, at("2026-11-22T04:40:11"));
  EXPECT_EQ(view->ended, at("2026-11-22T04:40:15"));
  EXPECT_EQ(view->preempted, at("2026-11-22T04:40:14"));
  EXPECT_TRUE(is_over(*view));
  EXPECT_EQ(slurm_ending(*view), "Slurm: preempted by a job of higher priority");
}

TEST(SlurmWords, TimesThatAreNotKnownAreNothing) {
  auto text = with(kPreempted, "EndTime=2026-11-22T04:40:15", "EndTime=Unknown");
  text = with(text, "StartTime=2026-11-22T04:40:11", "StartTime=Unknown");
  text = with(text, "PreemptTime=2026-11-22T04:40:14", "PreemptTime=None");
  text = with(text, "JobState=FAILED Reason=NonZeroExitCode", "JobState=PENDING Reason=BeginTime");
  const auto view = parse_scontrol_job("slurm_load: a warning\n" + text);
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->started);
  EXPECT_FALSE(view->ended);
  EXPECT_FALSE(view->preempted);
  EXPECT_FALSE(is_over(*view));
  EXPECT_FALSE(holds_nodes(*view));
  EXPECT_EQ(slurm_ending(*view), "");
}

TEST(SlurmWords, EndingsHaveNames) {
  const auto ending = [](const std::string& state) {
    return slurm_ending(*parse_scontrol_job(with(with(kPreempted, "JobState=FAILED", "JobState=" + state),
                                                 "PreemptTime=2026-11-22T04:40:14", "PreemptTime=None")));
  };
  EXPECT_EQ(ending("TIMEOUT"), "Slurm: the time limit");
  EXPECT_EQ(ending("CANCELLED"), "Slurm: cancelled (scancel)");
  EXPECT_EQ(ending("NODE_FAIL"), "Slurm: a node failed");
  EXPECT_EQ(ending("PREEMPTED"), "Slurm: preempted by a job of higher priority");
  EXPECT_EQ(ending("OUT_OF_MEMORY"), "Slurm: out of the job's memory");
  EXPECT_EQ(ending("FAILED"), "") << "its exit code says why";
  EXPECT_EQ(ending("COMPLETED"), "");
}

TEST(SlurmWords, DamageIsNamed) {
  EXPECT_THAT([] { parse_scontrol_job(with(kPreempted, "ExitCode=75:0", "ExitCode=75")); },
              testing::ThrowsMessage<IoError>(testing::HasSubstr("ExitCode: expected CODE:SIGNAL, found \"75\"")));
  EXPECT_THAT([] { parse_scontrol_job(with(kPreempted, "SubmitTime=2026-11-22T04:40:11", "SubmitTime=yesterday")); },
              testing::ThrowsMessage<IoError>(testing::HasSubstr("SubmitTime: expected a time")));
  EXPECT_FALSE(parse_scontrol_job("slurm_load_jobs error: Invalid job id specified\n"));
}

// What `sacct -P -n -X -D -o kSacctFields` printed of jobs that scontrol had forgotten (Slurm 22.05.8 with slurmdbd and
// MariaDB 10.11, MinJobAge=2).
TEST(SlurmWords, ReadTheAccounts) {
  const auto done =
      parse_sacct("1|done|COMPLETED|0:0|2026-11-22T07:33:48|2026-11-22T07:33:49|2026-11-22T07:33:50|n1\n");
  ASSERT_TRUE(done);
  EXPECT_EQ(done->id, "1");
  EXPECT_EQ(done->name, "done");
  EXPECT_EQ(done->state, "COMPLETED");
  EXPECT_EQ(done->nodes, "n1");
  EXPECT_EQ(done->submitted, at("2026-11-22T07:33:48"));
  EXPECT_EQ(done->started, at("2026-11-22T07:33:49"));
  EXPECT_EQ(done->ended, at("2026-11-22T07:33:50"));
  EXPECT_EQ(done->restarts, 0);

  const auto failed =
      parse_sacct("2|fails with 3|FAILED|3:0|2026-11-22T07:33:48|2026-11-22T07:33:49|2026-11-22T07:33:49|n1\n");
  EXPECT_EQ(failed->name, "fails with 3");
  EXPECT_EQ(failed->exit_code, 3);
  const auto killed =
      parse_sacct("3|killed|FAILED|0:9|2026-11-22T07:33:48|2026-11-22T07:33:49|2026-11-22T07:33:49|n1\n");
  EXPECT_EQ(killed->exit_signal, 9);

  const auto running = parse_sacct("8|unfinished|RUNNING|0:0|2026-11-22T07:33:59|2026-11-22T07:33:59|Unknown|n[1-2]\n");
  EXPECT_FALSE(is_over(*running));
  EXPECT_FALSE(running->ended);
  const auto pending = parse_sacct("9|inqueue|PENDING|0:0|2026-11-22T07:33:59|Unknown|Unknown|None assigned\n");
  EXPECT_EQ(pending->nodes, "");
  EXPECT_FALSE(pending->started);

  EXPECT_FALSE(parse_sacct("")) << "no such job";
  EXPECT_FALSE(parse_sacct("Slurm accounting storage is disabled\n"));
  EXPECT_FALSE(is_refusal("sacct: error: Problem talking to the database: Connection refused\n"));
}

TEST(SlurmWords, AnAccountSaysWhetherACancelledJobHadNodes) {
  const auto running =
      parse_sacct("4|cancelled|CANCELLED by 0|0:0|2026-11-22T07:33:48|2026-11-22T07:33:49|2026-11-22T07:33:50|n1\n");
  EXPECT_EQ(slurm_ending(*running), "Slurm: cancelled (scancel)");
  const auto queued =
      parse_sacct("9|inqueue|CANCELLED by 0|0:0|2026-11-22T07:33:59|None|2026-11-22T07:34:40|None assigned\n");
  EXPECT_EQ(queued->nodes, "");
  EXPECT_FALSE(queued->started);
  EXPECT_EQ(slurm_ending(*queued), "Slurm: cancelled (scancel) while it was queued");
}

TEST(SlurmWords, TheLastStartOfARequeuedJobCounts) {
  const auto view = parse_sacct(
      "12|twice|REQUEUED|0:0|2026-11-22T07:35:14|2026-11-22T07:35:14|2026-11-22T07:35:16|n1\n"
      "12|twice|CANCELLED by 0|0:0|2026-11-22T07:35:16|None|2026-11-22T07:35:18|None assigned\n");
  ASSERT_TRUE(view);
  EXPECT_EQ(view->state, "CANCELLED");
  EXPECT_EQ(view->restarts, 1);
  EXPECT_EQ(view->submitted, at("2026-11-22T07:35:16")) << "until then its first start held n1";
  EXPECT_EQ(view->nodes, "");
}

TEST(SlurmWords, ReadTheQueue) {
  const auto jobs = parse_squeue("12|RUNNING|regatta-a-1\n13|PENDING|regatta-b-1\n");
  ASSERT_EQ(jobs.size(), 2U);
  EXPECT_EQ(jobs[1].id, "13");
  EXPECT_EQ(jobs[1].state, "PENDING");
  EXPECT_EQ(jobs[1].name, "regatta-b-1");
  EXPECT_TRUE(parse_squeue("").empty());
}

TEST(SlurmWords, FindTheNumberAmongWarnings) {
  EXPECT_EQ(parse_sbatch("12\n"), "12");
  EXPECT_EQ(parse_sbatch("sbatch: warning: can't honor --ntasks-per-node\n13;bed\n"), "13");
  EXPECT_FALSE(parse_sbatch("sbatch: error: Batch job submission failed\n"));
}

// A submission that Slurm refused is over; one without an answer may have been taken.
TEST(SlurmWords, TellARefusalFromSilence) {
  EXPECT_TRUE(
      is_refusal("sbatch: error: invalid partition specified: nope\n"
                 "sbatch: error: Batch job submission failed: Invalid partition name specified\n"));
  EXPECT_FALSE(
      is_refusal("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n"));
  EXPECT_FALSE(is_refusal("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"));
  EXPECT_TRUE(is_unknown_job("slurm_load_jobs error: Invalid job id specified\n"));
  EXPECT_EQ(slurm_error_words("sbatch: error: invalid partition specified: nope\n"
                              "sbatch: error: Batch job submission failed: Invalid partition name specified\n"),
            "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified");
}

TEST(SlurmWords, NameTheRankThatEndedFirst) {
  EXPECT_EQ(first_srun_error("regatta-worker: epoch 1\n"
                             "srun: error: n3: task 2: Killed\n"
                             "srun: launch/slurm: _step_signal: Terminating StepId=7.0\n"
                             "srun: error: n1: task 0: Broken pipe\n"),
            "rank 2 on n3: Killed");
  EXPECT_EQ(first_srun_error("all is well\n"), "");
}

}  // namespace
}  // namespace regatta::test
