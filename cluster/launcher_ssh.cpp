// The launcher `ssh`: one mpirun on this host, its daemons on the pool's hosts, started by ssh.
#include <algorithm>

#include "cluster/launcher.hpp"
#include "common/error.hpp"

namespace regatta {

std::vector<std::string> ssh_command(const PoolSpec& pool, const LaunchRequest& request) {
  REGATTA_ENSURE(request.ranks_by_node.size() <= pool.hosts.size(), "a host for every node");
  std::string hosts;
  for (std::size_t node = 0; node < request.ranks_by_node.size(); ++node)
    hosts += (node == 0 ? "" : ",") + pool.hosts[node] + ":" + std::to_string(request.ranks_by_node[node]);
  std::string agent = "ssh";
  if (pool.ssh_config) agent += " -F " + pool.ssh_config->string();
  std::vector<std::string> argv = {"mpirun", "-np",   std::to_string(request.ranks),
                                   "--host", hosts,   "--bind-to",
                                   "none",   "--mca", "plm",
                                   "rsh",    "--mca", "plm_rsh_agent",
                                   agent};
  if (request.contended) argv.insert(argv.end(), {"--mca", "mpi_yield_when_idle", "1"});
  argv.insert(argv.end(),
              {request.worker.string(), "--plan", request.plan.string(), "--run-dir", request.run_dir.string()});
  return argv;
}

}  // namespace regatta
