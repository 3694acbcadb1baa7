// A job as Slurm's commands tell of it. The hosts of tests/cluster/bed have a real Slurm, but no accounts: here sacct
// and what comes before it are scripts that print what the real ones printed (slurm_words_test.cpp).
#include "cluster/slurm_job.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cluster/slurm_words.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class SlurmAccounts : public testing::Test {
 protected:
  SlurmAccounts() : path_(std::getenv("PATH")) {
    ::setenv("PATH", (folder_.path().string() + ":" + path_).c_str(), 1);
    program("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified'; exit 1");
  }
  ~SlurmAccounts() override { ::setenv("PATH", path_.c_str(), 1); }

  void program(const std::string& name, const std::string& script) {
    std::filesystem::permissions(folder_.write(name, "#!/bin/sh\n" + script + "\n"), std::filesystem::perms::all);
  }
  /// Of job 9, which was queued when it was last seen.
  static std::unique_ptr<SlurmJob> queued_job() {
    return SlurmJob::adopt("regatta-R-1", {.job = "9", .state = "PENDING"}, wall_now());
  }
  static std::optional<ExitStatus> end_of(SlurmJob& job, Millis deadline = seconds(10)) {
    wait_until([&] { return job.poll().has_value(); }, deadline);
    return job.poll();
  }

  TemporaryFolder folder_;

 private:
  std::string path_;
};

TEST_F(SlurmAccounts, TellHowAForgottenJobEnded) {
  program("sacct",
          "echo '9|regatta-R-1|FAILED|3:0|2026-11-22T07:33:48|2026-11-22T07:33:49|2026-11-22T07:33:52|n[1-2]'");
  const auto job = queued_job();
  const auto status = end_of(*job);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 3);
  EXPECT_EQ(status->lost, "");
  EXPECT_EQ(job->allocation()->nodes, "n[1-2]");
  EXPECT_EQ(*job->allocation()->held_to - *job->allocation()->held_from, seconds(3));
}

TEST_F(SlurmAccounts, AJobThatWasCancelledInTheQueueHeldNothing) {
  program("sacct",
          "echo '9|regatta-R-1|CANCELLED by 0|0:0|2026-11-22T07:33:59|None|2026-11-22T07:34:40|None assigned'");
  const auto job = queued_job();
  const auto status = end_of(*job);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->why, kCancelledInQueue);
  EXPECT_EQ(job->allocation()->nodes, "");
  EXPECT_FALSE(job->allocation()->held_from);
  EXPECT_FALSE(job->allocation()->held_to);
}

TEST_F(SlurmAccounts, AreAskedAgainWhenTheirDatabaseIsAway) {
  const std::string asked = (folder_.path() / "asked").string();
  program("sacct",
          "echo x >>'" + asked + "'\nif [ $(wc -l <'" + asked +
              "') -lt 3 ]; then echo 'sacct: error: Problem talking to the database: Connection refused'; exit "
              "1; fi\necho '9|regatta-R-1|COMPLETED|0:0|2026-11-22T07:33:48|2026-11-22T07:33:49|"
              "2026-11-22T07:33:50|n1'");
  const auto status = end_of(*queued_job());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->lost, "");
  EXPECT_EQ(status->code, 0);
}

// Slurm has lost its state: the account stays open for good.
TEST_F(SlurmAccounts, WithoutAnEndTheJobIsForgotten) {
  program("sacct", "echo '9|regatta-R-1|RUNNING|0:0|2026-11-22T07:33:59|2026-11-22T07:33:59|Unknown|n[1-2]'");
  const auto status = end_of(*queued_job());
  ASSERT_TRUE(status) << "nobody waits for it for ever";
  EXPECT_TRUE(status->forgotten);
  EXPECT_EQ(status->lost, "Slurm no longer knows job 9");
}

// A submission of long ago shows in the queue now, or it was not taken.
TEST_F(SlurmAccounts, ANameIsWaitedForOnlyWhileItMayStillCome) {
  program("squeue", "true");
  const auto job = SlurmJob::adopt("regatta-R-1", {}, wall_now() - std::chrono::minutes(5));
  const auto status = end_of(*job, seconds(5));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->lost, "Slurm knows no job regatta-R-1");
  EXPECT_FALSE(end_of(*SlurmJob::adopt("regatta-R-1", {}, wall_now()), seconds(3)));
}

}  // namespace
}  // namespace regatta::test
