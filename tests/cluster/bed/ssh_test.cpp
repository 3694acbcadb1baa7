// `regatta run` on hosts reached by ssh.
#include <gmock/gmock.h>

#include <set>

#include "common/files.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

using testing::ElementsAre;

constexpr const char* kJob = R"(name: tiny
model: {kind: mlp, hidden: [32]}
data: {format: synthetic, samples: 640, shape: [1, 28, 28], classes: 10}
train: {batch: 64, optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}}
stop: {epochs: 2}
configurations:
  - {name: four-hosts, pool: hosts, ranks: 4}
)";

class Ssh : public BedTest {};

TEST_F(Ssh, RanksOnFourHosts) {
  const auto job = write("job.yaml", kJob);
  const auto cluster = write("cluster.yaml",
                             "pools:\n  hosts: {launcher: ssh, nodes: 4, cores_per_node: 1, "
                             "hosts: [n1, n2, n3, n4], ssh_config: ssh/config, "
                             "price: {usd_per_node_hour: 0.1}}\n");
  const auto result = regatta({"run", job, "--cluster", cluster, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const State all = state();
  ASSERT_EQ(all.runs.size(), 1U);
  std::vector<std::string> hosts;
  for (const auto& place : all.runs.begin()->second.attempts.at(0).start->ranks) hosts.push_back(place.host);
  EXPECT_THAT(hosts, ElementsAre("n1", "n2", "n3", "n4"));
  EXPECT_EQ(bed().strays({"n0", "n1", "n2", "n3", "n4"}), "");
}

}  // namespace
}  // namespace regatta::test
