// A coordinator that is killed leaves its Slurm job behind; the next command goes on with it.
#include <random>

#include "tests/cluster/bed/slurm_bed.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr;

class SlurmAdoption : public SlurmTest {
 protected:
  int jobs_of(const std::string& run) {
    int count = 0;
    for (const auto& one : parse_squeue(slurm({"squeue", "-h", "--states=all", "-o", "%i|%T|%j"})))
      count += one.name == "regatta-" + run + "-1" ? 1 : 0;
    return count;
  }

  /// Kills the coordinator after `delay`, goes on with `regatta wait`, `kills` times; then to the end. Returns when
  /// each kill came.
  void run_with_kills(const std::vector<Millis>& delays) {
    auto coordinator = start_run(job("epochs: 20"));
    for (const Millis delay : delays) {
      const auto end = std::chrono::steady_clock::now() + delay;
      wait_until([&] { return std::chrono::steady_clock::now() >= end || !coordinator->running(); },
                 delay + std::chrono::seconds(5));
      signal_regatta("KILL");
      coordinator->wait(std::chrono::seconds(10));
      coordinator = start({"wait"});
    }
    const auto ended = coordinator->wait(std::chrono::seconds(90));
    EXPECT_FALSE(ended.timed_out) << ended.text();
    const auto listed = regatta({"list"});
    EXPECT_EQ(listed.exit_code, 0) << listed.text();
    EXPECT_THAT(listed.err, testing::Not(HasSubstr("goes on"))) << "nothing is left open";
  }

  /// Every run is final, no job was submitted twice, none is left.
  void expect_in_order() {
    for (const auto& [id, run] : state().runs) {
      EXPECT_TRUE(is_final(run.status)) << id << " is " << to_text(run.status);
      const int jobs = jobs_of(id);
      EXPECT_LE(jobs, 1) << id;
      EXPECT_TRUE(jobs == 0 || run.status == RunStatus::kDone) << to_text(run.status) << ": " << run.reason;
      if (run.status != RunStatus::kDone || jobs == 0) continue;
      const auto view = job_view(run.attempts.at(0).job->id);
      EXPECT_NEAR(usd(run), kUsdPerNodeSecond * 4 * seconds(*view->ended - *view->started), 1e-9);
    }
    EXPECT_TRUE(wait_until([&] { return queued_job().empty(); }));
    expect_nothing_left();
  }
};

TEST_F(SlurmAdoption, GoesOnWhenTheCoordinatorIsKilledThreeTimes) {
  using std::chrono::milliseconds;
  run_with_kills({milliseconds(2500), milliseconds(300), milliseconds(700)});
  ASSERT_EQ(state().runs.size(), 1U);
  EXPECT_EQ(only_run().status, RunStatus::kDone) << only_run().reason;
  EXPECT_EQ(only_run().attempts.at(0).epochs.size(), 20U);
  expect_in_order();
}

TEST_F(SlurmAdoption, AJobThatEndsAloneIsClosedByTheNextCommand) {
  auto coordinator = start_run(job("epochs: 5"));
  ASSERT_TRUE(wait_until([&] { return !queued_job().empty(); }));
  signal_regatta("KILL");
  coordinator->wait();
  const auto listed = regatta({"list"});
  EXPECT_THAT(listed.err, HasSubstr("`regatta wait` follows it")) << listed.text();
  EXPECT_FALSE(is_final(only_run().status)) << "a live job is not lost";
  EXPECT_TRUE(wait_until([&] { return queued_job().empty(); }, std::chrono::seconds(30)));
  EXPECT_EQ(regatta({"show"}).exit_code, 0);
  EXPECT_EQ(only_run().status, RunStatus::kDone) << only_run().reason;
  expect_in_order();
}

// The administrator queues it again while nobody follows it: its second start writes nothing and leaves with 11.
TEST_F(SlurmAdoption, AJobThatWasRequeuedMeanwhileIsLost) {
  auto coordinator = start_run(job("max_time: 100"));
  ASSERT_TRUE(past_epoch_one()) << coordinator->err();
  const std::string id = queued_job();
  signal_regatta("KILL");
  coordinator->wait();
  const auto before = *job_view(id);
  slurm({"scontrol", "requeue", id});
  EXPECT_TRUE(wait_until([&] { return job_view(id)->state == "FAILED"; }, std::chrono::seconds(25)));
  EXPECT_EQ(job_view(id)->exit_code, 11);
  const std::string journal = journal_text();
  const auto waited = regatta({"wait"});
  EXPECT_EQ(only_run().status, RunStatus::kLost) << waited.text();
  EXPECT_THAT(only_run().reason, HasSubstr("requeue"));
  EXPECT_EQ(journal_text(), journal);
  const double first_s = seconds(*job_view(id)->submitted - *before.started);
  EXPECT_GT(first_s, 0);
  EXPECT_NEAR(usd(only_run()), kUsdPerNodeSecond * 4 * first_s, kUsdPerNodeSecond * 4 * 12 + 1e-9);
  expect_nothing_left();
}

// Must show 7 of the issue. Moments over the whole length of a run: queue, launch, training, end.
TEST_F(SlurmAdoption, LongKillsAtTwentyRandomMoments) {
  std::mt19937 random(20261122);
  std::uniform_int_distribution<int> moment(20, 8000);
  for (int round = 0; round < 5; ++round) {
    slurm({"sbatch", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3"});  // a queue to wait in
    std::vector<int> at;
    for (int kill = 0; kill < 4; ++kill) at.push_back(moment(random));
    std::sort(at.begin(), at.end());
    std::vector<Millis> delays;
    int last = 0;
    for (const int ms : at) {
      delays.emplace_back(ms - last);
      last = ms;
    }
    run_with_kills(delays);
    std::string words;
    for (const int ms : at) words += " " + std::to_string(ms);
    std::printf("kills at%s ms: run %d is %s, %d jobs\n", words.c_str(), round + 1,
                to_text(state().runs.rbegin()->second.status), jobs_of(state().runs.rbegin()->first));
  }
  EXPECT_EQ(state().runs.size(), 5U);
  expect_in_order();
}

}  // namespace
}  // namespace regatta::test
