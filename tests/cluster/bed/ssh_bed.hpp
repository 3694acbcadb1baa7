#pragma once
// Two hosts that ssh reaches, and a job that is trained there in a blink.

#include <gmock/gmock.h>

#include "common/files.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {

/// `rows`: its configurations, a line each.
inline std::string job_of_rows(const std::string& rows) {
  return "name: tiny\n"
         "model: {kind: mlp, hidden: [32]}\n"
         "data: {format: synthetic, samples: 640, shape: [1, 28, 28], classes: 10}\n"
         "train: {batch: 64, optimizer: {kind: sgd, lr: 0.05}}\n"
         "stop: {epochs: 1}\n"
         "configurations:\n" +
         rows;
}

/// A line of `pools:`. `hosts`: "[n1, n2]"; `more` begins with ", ".
inline std::string ssh_pool(const std::string& name, int nodes, const std::string& hosts,
                            const std::string& more = "") {
  return "  " + name + ": {launcher: ssh, nodes: " + std::to_string(nodes) + ", cores_per_node: 1, hosts: " + hosts +
         ", ssh_config: ssh/config" + more + ", price: {usd_per_node_hour: 0.1}}\n";
}

class TwoHosts : public BedTest {
 protected:
  TwoHosts() : BedTest({.hosts = 2}) {}

  /// regatta run on the head, with these files. `pools`: lines of ssh_pool.
  std::vector<std::string> run_arguments(const std::string& job, const std::string& pools,
                                         const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"run", write("job.yaml", job), "--cluster",
                                          write("cluster.yaml", "pools:\n" + pools)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

}  // namespace regatta::test
