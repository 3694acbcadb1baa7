// `regatta run` through Slurm's queue.
#include <gmock/gmock.h>

#include "cluster/slurm_words.hpp"
#include "common/files.hpp"
#include "coordinator/ledger.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSlurmJob = R"(name: tiny
model: {kind: mlp, hidden: [32]}
data: {format: synthetic, samples: 640, shape: [1, 28, 28], classes: 10}
train: {batch: 64, optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}}
stop: {epochs: 2}
configurations:
  - {name: four, pool: batch, ranks: 4}
)";

constexpr double kUsdPerNodeSecond = 0.001;  // 3.6 an hour

class Slurm : public BedTest {
 protected:
  explicit Slurm(std::map<std::string, std::string> environment = {})
      : BedTest({.slurm = true, .environment = std::move(environment)}) {}

  std::filesystem::path cluster(const std::string& more = "") const {
    return write("cluster.yaml", "pools:\n  batch: {launcher: slurm, nodes: 4, cores_per_node: 1" + more +
                                     ", price: {usd_per_node_hour: 3.6}}\n");
  }
  std::string slurm(const std::vector<std::string>& argv) {
    const auto result = bed().run_on("n0", argv);
    EXPECT_EQ(result.exit_code, 0) << result.text();
    return result.out;
  }
  std::optional<SlurmView> job(const std::string& id) {
    return parse_scontrol_job(slurm({"env", "TZ=UTC0", "scontrol", "show", "job", "-o", id}));
  }
  State state() const {
    State state;
    for (const auto& event : Ledger(home() / "ledger.db").events()) apply(state, event);
    return state;
  }
  RunState only_run() const {
    const State all = state();
    EXPECT_EQ(all.runs.size(), 1U);
    return all.runs.begin()->second;
  }
  void expect_nothing_left() {
    EXPECT_EQ(slurm({"squeue", "-h"}), "");
    EXPECT_EQ(bed().strays({"n0", "n1", "n2", "n3", "n4"}), "");
  }
};

TEST_F(Slurm, RanksOnFourNodes) {
  const auto yaml = write("job.yaml", kSlurmJob);
  const auto result = regatta({"run", yaml, "--cluster", cluster(", partition: main, time: \"10\""), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const RunState run = only_run();
  const AttemptState& attempt = run.attempts.at(0);
  std::vector<std::string> hosts;
  for (const auto& place : attempt.start->ranks) hosts.push_back(place.host);
  EXPECT_THAT(hosts, ElementsAre("n1", "n2", "n3", "n4"));
  EXPECT_EQ(attempt.job->nodes, "n[1-4]");

  // The bill is Slurm's node-seconds, and the time in the queue is not in it.
  const auto view = job(attempt.job->id);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->name, "regatta-" + run.id.value + "-1");
  EXPECT_EQ(view->state, "COMPLETED");
  const double node_seconds = 4 * seconds(*view->ended - *view->started);
  EXPECT_NEAR(static_cast<double>(run.bill->total.nano) / 1e9, kUsdPerNodeSecond * node_seconds, 1e-9);
  EXPECT_TRUE(attempt.queue_s);
  EXPECT_GE(*attempt.hold_s, 0);
  expect_nothing_left();
}

}  // namespace
}  // namespace regatta::test
