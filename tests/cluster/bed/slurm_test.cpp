// `regatta run` through Slurm's queue.
#include "tests/cluster/bed/slurm_bed.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Slurm : public SlurmTest {};

TEST_F(Slurm, RanksOnFourNodes) {
  const auto result = regatta({"run", job(), "--cluster", cluster(", partition: main, time: \"10\""), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const RunState run = only_run();
  const AttemptState& attempt = run.attempts.at(0);
  std::vector<std::string> hosts;
  for (const auto& place : attempt.start->ranks) hosts.push_back(place.host);
  EXPECT_THAT(hosts, ElementsAre("n1", "n2", "n3", "n4"));
  EXPECT_EQ(attempt.job->nodes, "n[1-4]");

  // The bill is Slurm's node-seconds, and the time in the queue is not in it.
  const auto view = job_view(attempt.job->id);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->name, "regatta-" + run.id.value + "-1");
  EXPECT_EQ(view->state, "COMPLETED");
  EXPECT_NEAR(usd(run), kUsdPerNodeSecond * 4 * seconds(*view->ended - *view->started), 1e-9);
  EXPECT_TRUE(attempt.queue_s);
  EXPECT_GE(*attempt.hold_s, 0);
  expect_nothing_left();

  // What is printed is what was submitted.
  auto printed = regatta({"sbatch", job(), "--cluster", cluster(", partition: main, time: \"10\"")});
  ASSERT_EQ(printed.exit_code, 0) << printed.text();
  const std::string id = printed.out.substr(printed.out.find("regatta-") + 8, run.id.value.size());
  for (auto at = printed.out.find(id); at != std::string::npos; at = printed.out.find(id))
    printed.out.replace(at, id.size(), run.id.value);
  EXPECT_EQ(printed.out, read_file(run.run_dir + "/attempt-1/sbatch.sh"));
}

TEST_F(Slurm, APrintedScriptIsSubmittedByHandAndImported) {
  const auto printed = regatta({"sbatch", job(), "--cluster", cluster()});
  ASSERT_EQ(printed.exit_code, 0) << printed.text();
  const auto script = write("by-hand.sh", printed.out);
  EXPECT_EQ(slurm({"squeue", "-h"}), "") << "nothing is submitted";
  EXPECT_FALSE(std::filesystem::exists(home() / "ledger.db"));
  const std::filesystem::path run_dir = std::filesystem::directory_iterator(home() / "runs")->path();
  EXPECT_THAT(printed.err, AllOf(HasSubstr("sbatch " + (run_dir / "attempt-1/sbatch.sh").string() + "\n"),
                                 HasSubstr("regatta import " + run_dir.string() + "\n")));

  slurm({"sbatch", "--wait", script});
  const auto imported = regatta({"import", run_dir});
  ASSERT_EQ(imported.exit_code, 0) << imported.text();
  const RunState run = only_run();
  EXPECT_EQ(run.status, RunStatus::kDone) << run.reason;
  EXPECT_EQ(run.id.value, run_dir.filename().string());
  EXPECT_EQ(run.attempts.at(0).start->ranks.size(), 4U);
  EXPECT_NEAR(usd(run), kUsdPerNodeSecond * 4 * *run.attempts.at(0).held_s, 1e-6) << "at the price of its pool";

  // Once: a second job finds the first one's journal and leaves it as it is.
  const std::string journal = journal_text();
  EXPECT_NE(bed().run_on("n0", {"sbatch", "--wait", script}).exit_code, 0);
  EXPECT_EQ(journal_text(), journal);
  expect_nothing_left();
}

TEST_F(Slurm, MoreRanksThanCoresShareThem) {
  const auto yaml = job("epochs: 1", "", 9);
  const auto pool = [&](const std::string& more) {
    return write("cluster.yaml", "pools:\n  batch: {launcher: slurm, nodes: 2, cores_per_node: 4, queue_timeout: 20s" +
                                     more + ", price: {usd_per_node_hour: 3.6}}\n");
  };
  auto result = regatta({"run", yaml, "--cluster", pool("")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("set oversubscribe: true in the pool")) << result.text();
  result = regatta({"run", yaml, "--cluster", pool(", oversubscribe: true")});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  std::map<std::string, int> ranks;
  const RunState run = only_run();
  for (const auto& place : run.attempts.at(0).start->ranks) ++ranks[place.host];
  EXPECT_THAT(ranks, ElementsAre(testing::Pair("n1", 5), testing::Pair("n2", 4)));
  EXPECT_TRUE(run.contended);
  expect_nothing_left();
}

TEST_F(Slurm, AHomeMayHaveAnyName) {
  const auto odd = bed().folder() / "100%j a\"b $HOME";
  const auto result = bed().run_on("n0", {binary("regatta"), "run", job(), "--cluster", cluster(), "--home", odd});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const std::filesystem::path run_dir = std::filesystem::directory_iterator(odd / "runs")->path();
  EXPECT_THAT(read_file(run_dir / "attempt-1/launch.log"), testing::Not(HasSubstr("chdir")));
}

TEST_F(Slurm, UnevenRanksFillTheFirstNodes) {
  const auto yaml = job("epochs: 1", "", 6);
  const auto pools = write("cluster.yaml",
                           "pools:\n  batch: {launcher: slurm, nodes: 4, cores_per_node: 2, "
                           "price: {usd_per_node_hour: 3.6}}\n");
  const auto result = regatta({"run", yaml, "--cluster", pools});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  std::vector<std::string> hosts;
  const RunState run = only_run();
  for (const auto& place : run.attempts.at(0).start->ranks) hosts.push_back(place.host);
  EXPECT_THAT(hosts, ElementsAre("n1", "n1", "n2", "n2", "n3", "n3"));
}

TEST_F(Slurm, InterruptStopsAllRanksAndASecondCancels) {
  auto run = start_run(job("max_time: 100"));
  ASSERT_TRUE(past_epoch_one()) << run->err();
  signal_regatta("INT");
  auto ended = run->wait(std::chrono::seconds(30));
  EXPECT_EQ(ended.exit_code, 130) << ended.text();
  EXPECT_EQ(only_run().status, RunStatus::kStopped);
  EXPECT_EQ(only_run().attempts.at(0).exit_code, 75);
  EXPECT_TRUE(std::filesystem::exists(only_run().run_dir + "/weights.safetensors")) << "a clean stop keeps the weights";
  expect_nothing_left();

  // In the queue there is nothing to stop: it is taken out of it, and costs nothing.
  slurm({"sbatch", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 60"});
  std::filesystem::remove_all(home());
  run = start_run(job());
  ASSERT_TRUE(wait_until([&] { return run->err().find("Slurm job") != std::string::npos; })) << run->err();
  signal_regatta("INT");
  ended = run->wait(std::chrono::seconds(30));
  EXPECT_EQ(ended.exit_code, 130) << ended.text();
  EXPECT_EQ(only_run().status, RunStatus::kStopped);
  EXPECT_EQ(usd(only_run()), 0);
  slurm({"scancel", "-u", "root"});
}

TEST_F(Slurm, ASecondInterruptCancelsTheJobAtOnce) {
  // A rank that stands still never comes to its clean stop; SIGKILL comes KillWait after the cancelling.
  auto run = start_run(job("max_time: 100", ", deadline: 60"));
  ASSERT_TRUE(past_epoch_one()) << run->err();
  const std::string id = queued_job();
  bed().run_on("n3", {"pkill", "-STOP", "-x", "regatta-worker"});
  signal_regatta("INT");
  ASSERT_TRUE(wait_until([&] { return run->err().find("once more to kill it") != std::string::npos; })) << run->err();
  EXPECT_EQ(job_view(id)->state, "RUNNING");
  signal_regatta("INT");
  const auto ended = run->wait(std::chrono::seconds(30));
  EXPECT_EQ(ended.exit_code, 130) << ended.text();
  EXPECT_EQ(job_view(id)->state, "CANCELLED");
  EXPECT_EQ(only_run().status, RunStatus::kStopped);
  EXPECT_THAT(only_run().reason, HasSubstr("asked to stop twice"));
  const auto view = job_view(id);
  EXPECT_NEAR(usd(only_run()), kUsdPerNodeSecond * 4 * seconds(*view->ended - *view->started), 1e-9);
  expect_nothing_left();
}

TEST_F(Slurm, TheQueueIsShownAndNotBilled) {
  slurm({"sbatch", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 4"});
  const auto result = regatta({"run", job(), "--cluster", cluster(), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const RunState run = only_run();
  EXPECT_GE(*run.attempts.at(0).queue_s, 2);
  EXPECT_LT(usd(run), kUsdPerNodeSecond * 4 * (*run.attempts.at(0).held_s + 1));
  EXPECT_THAT(result.err, HasSubstr(" in the queue"));
  const auto view = job_view(run.attempts.at(0).job->id);
  EXPECT_NEAR(usd(run), kUsdPerNodeSecond * 4 * seconds(*view->ended - *view->started), 1e-9);
  const auto shown = regatta({"show", run.id.value});
  EXPECT_THAT(shown.out, AllOf(HasSubstr("queue"), HasSubstr("Slurm job"))) << shown.text();
  EXPECT_THAT(result.out, HasSubstr("\"queue_s\""));
}

TEST_F(Slurm, BadPlacesAreSaidInOneMessage) {
  auto result = regatta({"run", job(), "--cluster", cluster(", partition: nowhere")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("Slurm refuses the job: invalid partition specified: nowhere")) << result.text();
  EXPECT_EQ(only_run().status, RunStatus::kFailed);
  EXPECT_EQ(usd(only_run()), 0);

  // A queue that never starts: no node has the feature, but Slurm waits for one that a job before it holds.
  std::filesystem::remove_all(home());
  slurm({"sbatch", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 60"});
  result = regatta({"run", job(), "--cluster", cluster(", queue_timeout: 3s")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("it did not leave the queue within 3 s (queue_timeout)"),
                                HasSubstr(": in the queue: Resources")))
      << result.text();
  EXPECT_EQ(usd(only_run()), 0);
  slurm({"scancel", "-u", "root"});
  EXPECT_TRUE(wait_until([&] { return queued_job().empty(); }));
  expect_nothing_left();
}

TEST_F(Slurm, AutoIsNotTriedThroughAQueue) {
  const auto result = regatta({"run", job(), "--cluster", cluster(), "--set", "train.precision=auto"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("on a Slurm pool each would wait in the queue")) << result.text();
}

TEST_F(Slurm, AMountThatIsMissingIsNamedWithItsNode) {
  bed().act("hide", "n3", {std::filesystem::path(REGATTA_BIN_DIR)});  // no worker there
  const auto result = regatta({"run", job(), "--cluster", cluster()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("n3"), HasSubstr("regatta-worker"), HasSubstr("No such file or directory")))
      << result.text();
  expect_nothing_left();
}

TEST_F(Slurm, ALibraryThatIsMissingIsNamedWithItsNode) {
  bed().act("hide", "n3", {std::filesystem::canonical(REGATTA_TORCH_SITE) / "torch/lib"});
  const auto result = regatta({"run", job(), "--cluster", cluster()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("rank 2 on n3"), HasSubstr("error while loading shared libraries")))
      << result.text();
  expect_nothing_left();
}

TEST_F(Slurm, InsideAnAllocationRanksAreAStepOfIt) {
  const auto command = regatta_command({"run", job(), "--cluster", cluster()});
  // What regatta_command puts before it runs it on the head; here salloc does.
  std::vector<std::string> inside = {"salloc", "-N4", "--ntasks-per-node=1", "--exclusive"};
  const auto program = std::find(command.begin(), command.end(), binary("regatta").string());
  inside.insert(inside.end(), program, command.end());
  const auto result = bed().run_on("n0", inside);
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const RunState run = only_run();
  EXPECT_FALSE(run.attempts.at(0).job) << "no job of its own";
  EXPECT_EQ(run.attempts.at(0).argv.at(0), "srun");
  std::vector<std::string> hosts;
  for (const auto& place : run.attempts.at(0).start->ranks) hosts.push_back(place.host);
  EXPECT_THAT(hosts, ElementsAre("n1", "n2", "n3", "n4"));
  EXPECT_TRUE(wait_until([&] { return queued_job().empty(); }));
  expect_nothing_left();
}

TEST_F(Slurm, ABatchScriptMayCallRegattaRun) {
  const auto command = regatta_command({"run", job(), "--cluster", cluster()});
  const auto program = std::find(command.begin(), command.end(), binary("regatta").string());
  std::string words;
  for (auto word = program; word != command.end(); ++word) words += " '" + *word + "'";
  const auto script = write("outer.sh",
                            "#!/bin/bash\n#SBATCH --nodes=4\n#SBATCH --ntasks-per-node=1\n#SBATCH --exclusive\n"
                            "#SBATCH --output=" +
                                (bed().folder() / "outer.out").string() + "\n" + words + "\n");
  const auto result = bed().run_on("n0", {"sbatch", "--wait", script});
  const std::string output = read_file(bed().folder() / "outer.out");
  ASSERT_EQ(result.exit_code, 0) << result.text() << output;
  EXPECT_THAT(output, HasSubstr("row: done in")) << "the script has the comparison in its output";
  const RunState run = only_run();
  EXPECT_EQ(run.status, RunStatus::kDone);
  EXPECT_FALSE(run.attempts.at(0).job) << "no job of its own";
  EXPECT_EQ(run.attempts.at(0).argv.at(0), "srun");
  std::vector<std::string> hosts;
  for (const auto& place : run.attempts.at(0).start->ranks) hosts.push_back(place.host);
  EXPECT_THAT(hosts, ElementsAre("n1", "n2", "n3", "n4"));
  EXPECT_EQ(slurm({"squeue", "-h", "--states=all", "-o", "%i"}), "1\n") << "one job in all";
  EXPECT_TRUE(wait_until([&] { return queued_job().empty(); }));
  expect_nothing_left();
}

// 85 s: after its restart slurmctld leaves the job COMPLETING for a minute.
TEST_F(Slurm, LongAControllerThatDoesNotAnswerIsNoLostRun) {
  auto run = start_run(job("max_time: 10"));
  ASSERT_TRUE(past_epoch_one()) << run->err();
  bed().run_on("n0", {"pkill", "-TERM", "-x", "slurmctld"});
  EXPECT_TRUE(wait_until([&] { return run->err().find("Slurm does not answer") != std::string::npos; },
                         std::chrono::seconds(60)))
      << run->err();
  slurm({"slurmctld"});
  const auto ended = run->wait(std::chrono::seconds(60));
  EXPECT_EQ(ended.exit_code, 0) << ended.text();
  EXPECT_THAT(ended.err, HasSubstr("Slurm answers again"));
  EXPECT_EQ(only_run().status, RunStatus::kDone);
  expect_nothing_left({"n1", "n2", "n3", "n4"});
}

}  // namespace
}  // namespace regatta::test
