// The launcher `ssh`: one mpirun on this host, which starts a daemon on each of the pool's hosts by ssh. What it is
// told beside local_command's options, and why (figures: D-22):
//   --hostfile            hosts and ranks in the pool's order, readable beside launch.sh; any number of them
//   plm_rsh_agent         ssh that never asks and never waits for long, with the pool's own ssh_config
//   plm_rsh_no_tree_spawn every daemon is started from here: the hosts need not reach each other by ssh
//   oob_tcp_keepalive_*   a cut host is noticed after 3 to 7 s; by default after 490
//   *_tcp_if_include      the network on which all hosts meet; Open MPI would try every address, and hang on one that
//                         several hosts have (a bridge of containers, say)
//   -x NAME               Regatta's own variables; OMPI_MCA_* mpirun passes on by itself
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "cluster/launcher.hpp"
#include "cluster/ssh.hpp"
#include "common/error.hpp"
#include "common/files.hpp"

namespace regatta {

namespace {

fs::path host_file_of(const LaunchRequest& request) {
  return request.plan.parent_path() / "hostfile";
}

}  // namespace

std::vector<std::string> forwarded_variables(const std::vector<std::string>& environment) {
  // Where things lie on this host says nothing to others.
  constexpr std::array<std::string_view, 7> kOurs{"REGATTA_HOME",    "REGATTA_LEDGER",      "REGATTA_SLOTS",
                                                  "REGATTA_PRICES",  "REGATTA_CUDA_PLUGIN", "REGATTA_NVML",
                                                  "REGATTA_POWERCAP"};
  std::vector<std::string> names;
  for (const auto& entry : environment) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    const bool wanted = name.starts_with("REGATTA_") || name == "GOMP_SPINCOUNT" || name == "OMP_WAIT_POLICY";
    if (wanted && std::find(kOurs.begin(), kOurs.end(), name) == kOurs.end()) names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string host_file(const PoolSpec& pool, const LaunchRequest& request) {
  REGATTA_ENSURE(request.ranks_by_node.size() <= pool.hosts.size(), "a host for every node");
  std::string text;
  for (std::size_t node = 0; node < request.ranks_by_node.size(); ++node)
    text += fmt::format("{} slots={}\n", pool.hosts[node], request.ranks_by_node[node]);
  return text;
}

std::vector<std::string> ssh_command(const PoolSpec& pool, const LaunchRequest& request) {
  std::vector<std::string> argv = {
      "mpirun",    "-np", std::to_string(request.ranks), "--hostfile", host_file_of(request).string(),
      "--bind-to", "none"};
  const auto mca = [&](const char* name, const std::string& value) { argv.insert(argv.end(), {"--mca", name, value}); };
  mca("plm", "rsh");
  mca("plm_rsh_agent", fmt::format("{}", fmt::join(ssh_program(pool), " ")));
  mca("plm_rsh_no_tree_spawn", "1");
  mca("oob_tcp_keepalive_time", "2");
  mca("oob_tcp_keepalive_intvl", "1");
  mca("oob_tcp_keepalive_probes", "3");
  const std::string& network = pool.found.ranks_network.empty() ? pool.interface : pool.found.ranks_network;
  if (!network.empty()) mca("btl_tcp_if_include", network);
  if (!pool.found.daemons_network.empty()) mca("oob_tcp_if_include", pool.found.daemons_network);
  if (request.contended) mca("mpi_yield_when_idle", "1");
  for (const auto& name : request.forwarded) argv.insert(argv.end(), {"-x", name});
  const fs::path& worker = pool.found.worker.empty() ? request.worker : pool.found.worker;
  argv.insert(argv.end(), {worker.string(), "--plan", request.plan.string(), "--run-dir", request.run_dir.string()});
  return argv;
}

void write_host_file(const PoolSpec& pool, const LaunchRequest& request) {
  write_file_atomically(host_file_of(request), host_file(pool, request));
}

}  // namespace regatta
