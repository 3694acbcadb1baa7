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

TEST_F(SlurmAdoption, AJobThatIsCancelledInTheQueueMeanwhileIsSaid) {
  slurm({"sbatch", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 100"});
  const std::string before = queued_job();
  auto coordinator = start_run(job());
  ASSERT_TRUE(wait_until([&] { return coordinator->err().find("Slurm job") != std::string::npos; }))
      << coordinator->err();
  signal_regatta("KILL");
  coordinator->wait();
  const std::string id = only_run().attempts.at(0).job->id;
  slurm({"scancel", id});
  const auto listed = regatta({"list"});
  EXPECT_EQ(only_run().status, RunStatus::kCancelled) << listed.text();
  EXPECT_EQ(only_run().reason, "Slurm: cancelled (scancel) while it was queued");
  EXPECT_THAT(listed.err, HasSubstr("is cancelled"));
  EXPECT_THAT(listed.err, HasSubstr("while it was queued"));
  EXPECT_EQ(usd(only_run()), 0);
  slurm({"scancel", before});
  EXPECT_TRUE(wait_until([&] { return queued_job().empty(); }));
  expect_nothing_left();
}

// What was trained while nobody followed it is shown at what it cost then.
TEST_F(SlurmAdoption, WaitShowsTheMoneyAndTimeThatRunWouldHaveShown) {
  slurm({"sbatch", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3"});
  auto coordinator = start_run(job("epochs: 100000, max_time: 8"));
  ASSERT_TRUE(wait_until([&] { return coordinator->err().find("Slurm job") != std::string::npos; }))
      << coordinator->err();
  signal_regatta("KILL");  // in the queue
  coordinator->wait();
  ASSERT_TRUE(past_epoch_one());
  const auto first_seen = wall_now();
  ASSERT_TRUE(wait_until([&] { return wall_now() - first_seen > std::chrono::seconds(3); }));
  const auto waited = regatta({"wait"});
  ASSERT_EQ(waited.exit_code, 0) << waited.text();
  const RunState run = only_run();
  EXPECT_THAT(waited.out, HasSubstr("(row): done in 0:")) << waited.text();
  EXPECT_THAT(waited.out, HasSubstr(", $0.0"));

  std::map<int, std::pair<double, double>> shown;  // by epoch: dollars, seconds left
  std::istringstream lines(waited.err);
  for (std::string line; std::getline(lines, line);) {
    int epoch = 0, minutes = 0, rest = 0;
    const auto dollar = line.find(", $"), left = line.find(" left");
    if (std::sscanf(line.c_str(), "row: epoch %d/", &epoch) != 1) continue;
    ASSERT_NE(dollar, std::string::npos) << line;
    ASSERT_NE(left, std::string::npos) << line;
    ASSERT_EQ(std::sscanf(line.c_str() + line.rfind(", ", left) + 2, "%d:%d", &minutes, &rest), 2) << line;
    shown[epoch] = {std::strtod(line.c_str() + dollar + 3, nullptr), 60 * minutes + rest};
  }
  const Timestamp held_from = *run.attempts.at(0).job->held_from;
  int seen = 0;
  for (const auto& event : Ledger(home() / "ledger.db").events_of(run.id.value)) {
    if (event.kind != "journal" || event.body["type"] != "epoch") continue;
    const auto line = shown.find(event.body["epoch"].get<int>());
    ASSERT_NE(line, shown.end()) << event.body.dump();
    const double held_s = seconds(event.at - held_from);
    EXPECT_NEAR(line->second.first, kUsdPerNodeSecond * 4 * held_s, kUsdPerNodeSecond * 4 * 1.5) << held_s;
    EXPECT_NEAR(line->second.second, std::max(8 - held_s, 0.0), 2.5) << held_s;
    ++seen;
  }
  EXPECT_GT(seen, 2);
  expect_in_order();
}

// Slurm stands still: every question to it would take as long as its time-out.
TEST_F(SlurmAdoption, ASlurmThatDoesNotAnswerHoldsNoQuestionUp) {
  slurm({"sbatch", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 100"});
  std::vector<std::unique_ptr<Process>> coordinators;
  for (int i = 0; i < 3; ++i) coordinators.push_back(start_run(job()));
  for (const auto& one : coordinators)
    ASSERT_TRUE(wait_until([&] { return one->err().find("Slurm job") != std::string::npos; })) << one->err();
  signal_regatta("KILL");
  for (const auto& one : coordinators) one->wait();
  bed().run_on("n0", {"pkill", "-STOP", "-x", "slurmctld"});
  const auto begin = std::chrono::steady_clock::now();
  const auto listed = regatta({"list"});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(12)) << listed.text();
  bed().run_on("n0", {"pkill", "-CONT", "-x", "slurmctld"});
  EXPECT_EQ(listed.exit_code, 0);
  EXPECT_THAT(listed.err, HasSubstr("cannot be seen: Slurm does not answer")) << listed.text();
  for (const auto& [id, run] : state().runs) EXPECT_FALSE(is_final(run.status)) << id;
  slurm({"scancel", "-u", "root"});
  EXPECT_TRUE(wait_until([&] { return queued_job().empty(); }));
  EXPECT_EQ(regatta({"list"}).exit_code, 0);
  for (const auto& [id, run] : state().runs) EXPECT_EQ(run.status, RunStatus::kCancelled) << run.reason;
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
