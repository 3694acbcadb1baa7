// How a run ends when it does not end by itself: asked to stop, damaged data, a full disk, a dead or a stuck rank.
// Always with the right code, always soon, and nothing is left.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "common/files.hpp"
#include "common/host.hpp"
#include "tests/worker/worker_runs.hpp"

namespace regatta::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

constexpr int kEndless = 1'000'000;  // epochs

/// Open MPI's files in shared memory, of this user, that no process has mapped: what the dead forgot.
std::set<std::string> forgotten_memory() {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename().string();
    struct stat file = {};
    const bool ours = ::stat(entry.path().c_str(), &file) == 0 && file.st_uid == ::getuid();
    if (ours && (name.starts_with("vader_segment.") || name.starts_with("osc_"))) names.insert(entry.path().string());
  }
  for (const auto& process : fs::directory_iterator("/proc")) {
    std::ifstream maps(process.path() / "maps");  // not there for what is no process, or has just ended
    for (std::string line; std::getline(maps, line);)
      if (const auto at = line.find("/dev/shm/"); at != std::string::npos) names.erase(line.substr(at));
  }
  return names;
}

std::string failing_worker() {
  return std::string(REGATTA_BIN_DIR) + "/failing_worker";
}

/// "... after N steps (signal)" in each rank's log.
std::string last_steps(const std::string& log) {
  const auto at = log.rfind("after ");
  return at == std::string::npos ? "none" : log.substr(at, log.find(' ', at + 6) - at);
}

class Asked : public WorkerRuns, public testing::WithParamInterface<bool> {};

TEST_P(Asked, ToStopAllRanksLeaveAfterTheSameStep) {
  const bool through_mpirun = GetParam();
  Process process(launch(2, worker(), {job(kEndless).string()}), options_);
  ASSERT_TRUE(journal_has("epoch")) << process.err();
  if (through_mpirun)
    process.signal(SIGUSR1);
  else
    ASSERT_EQ(::kill(pids().at(1), SIGTERM), 0);
  const ProcessResult ended = process.wait();
  EXPECT_EQ(ended.exit_code, 75) << ended.text();
  EXPECT_EQ(result()["status"], "stopped");
  EXPECT_EQ(result()["reason"], "signal");
  const auto stop = std::get<record::Stop>(journal().back().body);
  EXPECT_EQ(stop.exit_code, 75);
  EXPECT_EQ(last_steps(rank_log(0)), "after " + std::to_string(stop.steps));
  EXPECT_EQ(last_steps(rank_log(1)), "after " + std::to_string(stop.steps));
  EXPECT_TRUE(fs::exists(run_dir() / "weights.safetensors"));
}
INSTANTIATE_TEST_SUITE_P(By, Asked, testing::Bool(),
                         [](const auto& asked) { return asked.param ? "Usr1ThroughMpirun" : "TermToOneWorker"; });

TEST_F(WorkerRuns, ASignalInTheMiddleOfAnLstmStepHurtsNothing) {
  // Large enough that steps of its fp32 kernel fill the time: 12 of 14 such workers once died of one signal.
  const fs::path file =
      folder_.write("lstm.yaml",
                    "name: lstm\nmodel: {kind: lstm, embedding: 64, hidden_size: 512, layers: 1}\n"
                    "data: {format: synthetic, samples: 6400, length: 256, vocabulary: 65}\n"
                    "train: {batch: 16}\nstop: {epochs: 1}\nconfigurations: [{name: one, ranks: 1}]\n");
  Process process({worker(), file.string(), "--run-dir", run_dir().string()}, options_);
  ASSERT_TRUE(journal_has("first_step")) << process.err();
  ASSERT_EQ(::kill(process.pid(), SIGUSR1), 0);
  const ProcessResult ended = process.wait();
  EXPECT_EQ(ended.exit_code, 75) << ended.text();
}

class Killed : public WorkerRuns, public testing::WithParamInterface<const char*> {};

TEST_P(Killed, NothingStays) {
  const std::string victim = GetParam();
  const std::set<std::string> before = forgotten_memory();
  Process process(launch(2, worker(), {job(kEndless).string()}), options_);
  ASSERT_TRUE(journal_has("epoch")) << process.err();
  const std::vector<pid_t> ranks = pids();
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(victim == "mpirun" ? process.pid() : ranks.at(victim == "rank 0" ? 0 : 1), SIGKILL);
  const ProcessResult ended = process.wait(20s);
  EXPECT_FALSE(ended.timed_out) << ended.text();
  EXPECT_NE(ended.exit_code, 0);
  for (const pid_t rank : ranks) EXPECT_TRUE(wait_until([&] { return !is_running(rank); })) << "a stray rank";
  if (victim == "mpirun") return;  // who sweeps up is dead
  EXPECT_TRUE(wait_until([&] {
    const auto now = forgotten_memory();
    return std::includes(before.begin(), before.end(), now.begin(), now.end());
  })) << "shared memory stays";
}
INSTANTIATE_TEST_SUITE_P(One, Killed, testing::Values("rank 0", "rank 1", "mpirun"), [](const auto& victim) {
  std::string name = victim.param;
  std::erase(name, ' ');
  return name;
});

TEST_F(WorkerRuns, DataThatChangedAfterPlanningEndsAllRanksWithOneMessage) {
  const fs::path data = folder_.path() / "data";
  fs::create_directories(data);
  for (const auto& file : fs::directory_iterator(std::string(REGATTA_SOURCE_DIR) + "/jobs/examples/data/mnist"))
    if (file.path().extension() == ".gz") fs::copy(file.path(), data);
  const auto text = read_file(job(1));
  const auto line = text.find("data:");
  folder_.write("job.yaml", text.substr(0, line) + "data: {format: idx, path: data}\nstop: {epochs: 1}\n" +
                                text.substr(text.find("train:"), text.find("stop:") - text.find("train:")) +
                                text.substr(text.find("configurations:")));
  ASSERT_EQ(run(launch(2, worker(), {(folder_.path() / "job.yaml").string()}), options_).exit_code, 0);

  const fs::path images = data / "mnist-train-images-idx3-ubyte.gz";
  std::string bytes = read_file(images);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_file_atomically(images, bytes);
  auto argv = launch(2, worker(), {"--plan", (run_dir() / "attempt-1/plan.json").string()});
  argv.back() = (folder_.path() / "again").string();
  const ProcessResult ended = run(argv, options_, 30s);
  EXPECT_EQ(ended.exit_code, 10) << ended.text();
  EXPECT_EQ(count_of(images.string(), ended.err), 1) << ended.err;
  const Json result = parse_json(read_file(folder_.path() / "again/result.json"), "result");
  EXPECT_EQ(result["status"], "failed");
  EXPECT_EQ(result["exit_code"], 10);
  const auto lines = parse_journal(read_file(folder_.path() / "again/attempt-1/journal.jsonl"));
  EXPECT_EQ(std::get<record::Stop>(lines.back().body).exit_code, 10);
}

TEST_F(WorkerRuns, AnErrorOfOneRankEndsTheOthers) {
  struct Case {
    const char* wish;
    int code;
    const char* message;
  };
  for (const auto& [wish, code, message] : {Case{"1 3 data", 10, "rank 1 on"}, Case{"0 3 data", 10, "rank 0 on"},
                                            Case{"1 0 memory", 16, "out of memory"}}) {
    fs::remove_all(run_dir());
    options_.environment["REGATTA_TEST_FAIL"] = wish;
    const ProcessResult ended = run(launch(2, failing_worker(), {job(kEndless).string()}), options_, 30s);
    EXPECT_EQ(ended.exit_code, code) << wish << ended.text();
    EXPECT_THAT(ended.err, HasSubstr(message));
    for (const pid_t rank : pids()) EXPECT_TRUE(wait_until([&] { return !is_running(rank); })) << wish;
  }
}

TEST_F(WorkerRuns, ARankThatNeverComesIsNamedAtTheDeadline) {
  options_.environment["REGATTA_TEST_FAIL"] = "1 3 stall";
  const ProcessResult ended = run(launch(2, failing_worker(), {job(kEndless, "deadline: 1").string()}), options_, 30s);
  EXPECT_EQ(ended.exit_code, 13) << ended.text();
  EXPECT_THAT(ended.err, AllOf(HasSubstr("rank 0 on"), HasSubstr("at step 4"), HasSubstr("Not arrived: rank 1 on"),
                               HasSubstr("step 4, data")));
  EXPECT_THAT(rank_log(0), HasSubstr("Not arrived: rank 1"));
  const auto stop = std::get<record::Stop>(journal().back().body);
  EXPECT_EQ(stop.exit_code, 13);
  EXPECT_THAT(stop.message, HasSubstr("Not arrived: rank 1"));
  EXPECT_EQ(result()["status"], "failed");
}

/// Processor time of a process in seconds; what it was last where the process has gone.
double cpu_s(pid_t pid, double before) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string stat;
  if (!std::getline(file, stat)) return before;
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string field;
  for (int i = 3; i < 14; ++i) fields >> field;  // proc(5): utime is the 14th, stime the 15th
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

class Frozen : public WorkerRuns {
 protected:
  /// Stops a rank of two somewhere in its steps; the other one names it and leaves.
  void freeze_one(std::mt19937& random) {
    const fs::path file = folder_.write("wide.yaml",
                                        "name: wide\nmodel: {kind: mlp, hidden: [512, 512]}\n"
                                        "data: {format: synthetic, samples: 64000, shape: [1, 28, 28], classes: 10}\n"
                                        "train: {batch: 64, deadline: 5s, evaluate: never}\nstop: {epochs: "
                                        "1000}\nconfigurations: [{name: two, ranks: 2}]\n");
    fs::remove_all(run_dir());
    const std::set<std::string> before = forgotten_memory();
    Process process(launch(2, worker(), {file.string()}), options_);
    ASSERT_TRUE(journal_has("first_step")) << process.err();
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 2000));
    const int frozen = static_cast<int>(random() % 2);
    const std::vector<pid_t> ranks = pids();
    const pid_t victim = ranks.at(static_cast<std::size_t>(frozen)),
                waiter = ranks.at(static_cast<std::size_t>(1 - frozen));
    ASSERT_EQ(::kill(victim, SIGSTOP), 0);
    const double start = cpu_s(waiter, 0);
    double end = start;
    const bool left = wait_until(
        [&] {
          end = cpu_s(waiter, end);
          return ::kill(waiter, 0) != 0;  // mpirun has its code
        },
        15s);
    EXPECT_TRUE(left) << "the waiter stays";
    EXPECT_LT(end - start, 1.2) << "seconds of processor time";
    ::kill(victim, SIGKILL);
    const ProcessResult ended = process.wait(20s);
    EXPECT_EQ(ended.exit_code, 13) << ended.text();
    const std::string host = host_name(), name = "rank " + std::to_string(frozen) + " on " + host;
    EXPECT_THAT(ended.err, ContainsRegex("rank " + std::to_string(1 - frozen) + " on " + host +
                                         " waited .* at step [0-9]+, bucket [0-9]+"));
    EXPECT_THAT(ended.err, ContainsRegex("Not arrived: " + name + " .*: step [0-9]+"));
    EXPECT_TRUE(wait_until([&] {
      const auto now = forgotten_memory();
      return std::includes(before.begin(), before.end(), now.begin(), now.end());
    })) << "shared memory stays";
  }
};

TEST_F(Frozen, ARankIsNamedByTheOneThatWaits) {
  std::mt19937 random(1);
  freeze_one(random);
}

TEST_F(Frozen, LongTwentyTimesAtRandomSteps) {
  std::mt19937 random(2);
  for (int i = 0; i < 20 && !HasFailure(); ++i) freeze_one(random);
}

TEST_F(WorkerRuns, ASlowDiskAtTheEndIsNoDeadline) {
  options_.environment["REGATTA_TEST_FAIL"] = "0 0 end";
  const ProcessResult ended = run(launch(2, failing_worker(), {job(1, "deadline: 1").string()}), options_, 30s);
  EXPECT_EQ(ended.exit_code, 0) << ended.text();
  EXPECT_EQ(result()["status"], "done");
}

TEST_F(WorkerRuns, AnEvaluationOfAMinuteGivesSignsOfLifeAndEndsWhenAsked) {
  // A step in ten has a batch of the test set: 300 of them, a minute.
  std::string text = read_file(job(kEndless, "deadline: 5"));
  text.replace(text.find("samples: 640"), 12, "samples: 24000");
  text.replace(text.find("batch: 64"), 9, "batch: 8");
  folder_.write("job.yaml", text);
  options_.environment.insert({{"REGATTA_TEST_DELAY", "evaluation"}, {"REGATTA_TEST_DELAY_MS", "200"}});
  const std::string slow = std::string(REGATTA_BIN_DIR) + "/wrapped-worker";
  Process process(launch(2, slow, {(folder_.path() / "job.yaml").string()}), options_);
  const auto evaluation_beats = [&] {
    int beats = 0;
    for (const auto& line : journal())
      if (const auto* beat = std::get_if<record::Heartbeat>(&line.body)) beats += beat->step == 3000 ? 1 : 0;
    return beats;
  };
  ASSERT_TRUE(wait_until([&] { return evaluation_beats() >= 2; }, 40s)) << process.err();
  EXPECT_EQ(journal().back().body.index(), RecordBody(record::Heartbeat{}).index()) << "still evaluating";

  process.signal(SIGUSR1);
  const ProcessResult ended = process.wait(15s);  // what the coordinator grants
  EXPECT_EQ(ended.exit_code, 75) << ended.text();
  const auto lines = journal();
  ASSERT_GE(lines.size(), 2U);
  const auto epoch = std::get<record::Epoch>(lines.at(lines.size() - 2).body);
  EXPECT_TRUE(epoch.complete) << "all its steps were done";
  EXPECT_FALSE(epoch.test_loss || epoch.test_accuracy);
  EXPECT_EQ(std::get<record::Stop>(lines.back().body).reason, "signal");
  EXPECT_EQ(result()["epochs"], 1);
  EXPECT_TRUE(result()["test_loss"].is_null());
}

TEST_F(WorkerRuns, MaxTimeIsANormalEndBetweenSteps) {
  std::string text = read_file(job(kEndless));
  text.replace(text.find("samples: 640"), 12, "samples: 400000");  // an epoch has 200,000 steps: more than 3 s
  text.replace(text.find("batch: 64"), 9, "batch: 2");
  text.replace(text.find("epochs: "), text.find('}', text.find("epochs: ")) - text.find("epochs: "), "max_time: 3s");
  folder_.write("job.yaml", text);
  const auto before = std::chrono::steady_clock::now();
  const ProcessResult ended = run(launch(2, worker(), {(folder_.path() / "job.yaml").string()}), options_);
  EXPECT_GE(std::chrono::steady_clock::now() - before, 3s);
  ASSERT_EQ(ended.exit_code, 0) << ended.text();
  EXPECT_EQ(result()["status"], "done");
  EXPECT_EQ(result()["reason"], "max_time");
  EXPECT_EQ(result()["epochs"], 0);

  const auto lines = journal();
  ASSERT_GE(lines.size(), 2U);
  const auto epoch = std::get<record::Epoch>(lines.at(lines.size() - 2).body);
  EXPECT_FALSE(epoch.complete);
  EXPECT_TRUE(epoch.test_loss && epoch.test_accuracy) << "the final weights have figures";
  const auto stop = std::get<record::Stop>(lines.back().body);
  EXPECT_EQ(stop.reason, "max_time");
  EXPECT_EQ(stop.exit_code, 0);
  EXPECT_EQ(stop.steps, epoch.last_step);
  EXPECT_EQ(last_steps(rank_log(0)), "after " + std::to_string(stop.steps));
  EXPECT_EQ(last_steps(rank_log(1)), "after " + std::to_string(stop.steps));
  EXPECT_TRUE(fs::exists(run_dir() / "weights.safetensors"));
}

/// Runs it with a limit on the size of files, in units of 512 bytes: a full disk for whoever has no disk to fill.
std::vector<std::string> limited(int blocks, const std::string& command) {
  return {"sh", "-c", "trap '' XFSZ; ulimit -f " + std::to_string(blocks) + "; exec " + command};
}

TEST_F(WorkerRuns, ADiskThatIsFullForTheJournalIsSaid) {
  const std::string command = worker() + " " + job(kEndless).string() + " --run-dir " + run_dir().string();
  const ProcessResult ended = run(limited(16, command), {}, 60s);
  EXPECT_EQ(ended.exit_code, 15) << ended.text();
  EXPECT_THAT(ended.err, HasSubstr("journal.jsonl"));
}

TEST_F(WorkerRuns, ADiskThatIsFullForTheWeightsIsRecorded) {
  const std::string big = read_file(job(1));
  auto text = big;
  text.replace(text.find("[16]"), 4, "[512]");  // 140 KB of weights
  folder_.write("job.yaml", text);
  const std::string command =
      worker() + " " + (folder_.path() / "job.yaml").string() + " --run-dir " + run_dir().string();
  const ProcessResult ended = run(limited(100, command), {}, 60s);
  EXPECT_EQ(ended.exit_code, 15) << ended.text();
  EXPECT_FALSE(fs::exists(run_dir() / "weights.safetensors")) << "whole or not there";
  EXPECT_EQ(result()["status"], "failed");
  EXPECT_EQ(std::get<record::Stop>(journal().back().body).exit_code, 15);
  for (const auto& entry : fs::directory_iterator(run_dir()))
    EXPECT_EQ(entry.path().string().find(".tmp"), std::string::npos) << "a temporary file stays";
}

}  // namespace
}  // namespace regatta::test
