#pragma once
// An installed tree (`./dev install DIR`) on its way to hosts that see neither it nor a build: `regatta run --push`.

#include <map>
#include <string>

#include "cluster/ask_hosts.hpp"

namespace regatta {

struct PushOutcome {
  std::filesystem::path worker;               ///< of the tree, on the hosts; empty: nothing is pushed
  std::string said;                           ///< "copied 480 MB to n1, n2 in 3.1 s"
  std::map<std::string, std::string> failed;  ///< by host: why the tree is not there, and what to do
};

/// The tree that `worker` belongs to, to POOL.push_to (or ~/.cache/regatta) / trees / HASH on each host that does not
/// have it: whole or not at all, checked against its MANIFEST. Hosts that cannot be reached are passed over; who asks
/// them next says so. Main thread only. Throws ConfigError when `worker` is of no installed tree.
PushOutcome push_tree(const PoolSpec& pool, const std::vector<std::string>& hosts, const std::filesystem::path& worker,
                      const KeepWaiting& keep_waiting);

}  // namespace regatta
