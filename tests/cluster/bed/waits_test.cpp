// Who does not arrive is named across hosts: rank, host, step and bucket, in the journal, the ledger and `show`.
#include <gmock/gmock.h>

#include <chrono>

#include "common/files.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kWaitsJob = R"(name: long
model: {kind: mlp, hidden: [32]}
data: {format: synthetic, samples: 6400, shape: [1, 28, 28], classes: 10}
train: {batch: 64, optimizer: {kind: sgd, lr: 0.01}, deadline: 5}
stop: {epochs: 100000}
configurations:
  - {name: two-hosts, pool: hosts, ranks: 4}
)";
constexpr const char* kWaitsCluster =
    "pools:\n  hosts: {launcher: ssh, nodes: 2, cores_per_node: 2, hosts: [n1, n2], ssh_config: ssh/config, "
    "price: {usd_per_node_hour: 0.1}}\n";

class Waits : public BedTest {
 protected:
  Waits() : BedTest({.hosts = 2}) {}

  void start() {
    const auto job = write("job.yaml", kWaitsJob), cluster = write("cluster.yaml", kWaitsCluster);
    const ProcessOptions options{.environment = {{"NO_COLOR", "1"}, {"REGATTA_SLOTS", home().string() + ".slots"}}};
    run_ = std::make_unique<Process>(regatta_command({"run", job, "--cluster", cluster}), options);
    ASSERT_TRUE(wait_until([&] { return journal().find("\"first_step\"") != std::string::npos || !run_->running(); },
                           std::chrono::seconds(60)));
    ASSERT_TRUE(run_->running()) << run_->err();
  }
  std::string journal() const {
    std::error_code none;
    for (const auto& run : fs::directory_iterator(home() / "runs", none))
      if (fs::exists(run.path() / "attempt-1/journal.jsonl")) return read_file(run.path() / "attempt-1/journal.jsonl");
    return "";
  }
  /// Waits for rank 0's last line to say it.
  void expect_said(const std::string& words) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(wait_until([&] { return journal().find(words) != std::string::npos || !run_->running(); },
                           std::chrono::seconds(30)));
    EXPECT_THAT(journal(), HasSubstr(words));
    std::printf("from the fault to the journal's line: %.1f s\n",
                std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::string shown() {
    const auto ended = run_->wait(std::chrono::seconds(90));
    EXPECT_NE(ended.exit_code, 0) << ended.text();
    return regatta({"show", state().runs.begin()->first}).out;
  }

  std::unique_ptr<Process> run_;
};

TEST_F(Waits, NameTheStoppedRankOfAnotherHost) {
  start();
  // The first rank of its host, which speaks for the host: the second takes over.
  const auto found = bed().run_on("n2", {"sh", "-c", "pgrep -o regatta-worker"});
  const std::string pid = found.out.substr(0, found.out.find('\n'));
  ASSERT_EQ(bed().run_on("n2", {"kill", "-STOP", pid}).exit_code, 0) << found.text();
  expect_said("Not arrived: ");
  const std::string page = shown();
  EXPECT_THAT(page, AllOf(HasSubstr("Not arrived: "), HasSubstr("on n2 (process " + pid), HasSubstr("stopped for "),
                          ContainsRegex("step [0-9]+, bucket [0-9]+"), HasSubstr("deadline of 5.0 s")));
  EXPECT_EQ(bed().strays({"n0", "n1", "n2"}, std::chrono::seconds(20)), "");
}

TEST_F(Waits, NameAHostThatIsFrozen) {
  start();
  bed().act("freeze", "n2");
  expect_said("no word from host n2 for ");
  bed().act("thaw", "n2");
  EXPECT_THAT(shown(), AllOf(HasSubstr("Not arrived: no word from host n2 for "), HasSubstr("rank 2: step ")));
  EXPECT_EQ(bed().strays({"n0", "n1", "n2"}, std::chrono::seconds(20)), "");
}

}  // namespace
}  // namespace regatta::test
