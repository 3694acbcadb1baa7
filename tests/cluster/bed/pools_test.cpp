// One comparison over every launcher: this machine, hosts reached by ssh, nodes of Slurm.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "common/files.hpp"
#include "common/json.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

constexpr const char* kPoolsJob = R"(name: mnist
model: {kind: mlp, hidden: [32]}
data: {format: idx, path: mnist}
train: {batch: 1000, optimizer: {kind: sgd, lr: 0.1, momentum: 0.9}}
stop: {epochs: 2}
configurations:
  - {name: local, pool: here,  ranks: 2}
  - {name: ssh,   pool: hosts, ranks: 4}
  - {name: slurm, pool: batch, ranks: 4}
)";
constexpr const char* kPoolsCluster = R"(pools:
  here:  {launcher: local, nodes: 1, cores_per_node: 2, price: {usd_per_node_hour: 0.1}}
  hosts: {launcher: ssh, nodes: 4, cores_per_node: 1, hosts: [n1, n2, n3, n4], ssh_config: ssh/config, price: {usd_per_node_hour: 0.1}}
  batch: {launcher: slurm, nodes: 4, cores_per_node: 1, partition: main, time: "10", price: {usd_per_node_hour: 0.1}}
)";

class Pools : public BedTest {
 protected:
  Pools() : BedTest({.slurm = true}) {}
};

TEST_F(Pools, LocalSshAndSlurmAgreeOnMnist) {
  std::filesystem::copy(std::filesystem::path(REGATTA_SOURCE_DIR) / "jobs/examples/data/mnist",
                        bed().folder() / "mnist", std::filesystem::copy_options::recursive);
  const auto job = write("job.yaml", kPoolsJob), cluster = write("cluster.yaml", kPoolsCluster);
  const auto result = regatta({"run", job, "--cluster", cluster, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const Json compared = parse_json(result.out, "--json");
  EXPECT_THAT(compared.at("configurations"), SizeIs(3));
  for (const Json& row : compared.at("configurations")) {
    EXPECT_EQ(row.at("status"), "done") << row.at("configuration");
    EXPECT_EQ(row.at("epochs"), 2);
    EXPECT_GT(row.at("test_accuracy").get<double>(), 0.9);
  }
  EXPECT_EQ(compared.at("verdict").at("agreement").at("result"), "agree") << compared.at("verdict").dump();

  const State all = state();
  std::map<std::string, std::vector<std::string>> hosts;
  for (const auto& [id, run] : all.runs)
    for (const auto& place : run.attempts.at(0).start->ranks) hosts[run.configuration].push_back(place.host);
  EXPECT_THAT(hosts["local"], ElementsAre("n0", "n0"));
  EXPECT_THAT(hosts["ssh"], ElementsAre("n1", "n2", "n3", "n4"));
  EXPECT_THAT(hosts["slurm"], ElementsAre("n1", "n2", "n3", "n4"));
  EXPECT_EQ(bed().run_on("n0", {"squeue", "-h"}).out, "");
  EXPECT_EQ(bed().strays({"n0", "n1", "n2", "n3", "n4"}, std::chrono::seconds(15)), "");
}

}  // namespace
}  // namespace regatta::test
