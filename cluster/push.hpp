#pragma once
// An installed tree (`./dev install DIR`) on its way to hosts that see neither it nor a build: `regatta run --push`.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cluster/ask_hosts.hpp"

namespace regatta {

struct PushOutcome {
  std::filesystem::path worker;               ///< of the tree, on the hosts; empty: no host was reached
  std::string said;                           ///< "--push: copied 480 MB to /a/b on n1, n2 in 3.1 s"
  std::map<std::string, std::string> failed;  ///< by host: why the tree is not there, and what to do
  std::vector<std::string> lacking;           ///< of PushMode::kLook: hosts to which it would be copied
  std::int64_t tree_bytes = 0;
};

enum class PushMode { kCopy, kLook };  ///< kLook, of a dry run: writes nothing, here or there

/// The tree that `worker` belongs to, to POOL.push_to (or ~/.cache/regatta) / trees / HASH on each host that does not
/// have it whole: one whose files have changed since they were copied is looked through by its MANIFEST, and replaced
/// where it is damaged. Whole or not at all, checked against the MANIFEST. Hosts that cannot be reached are passed
/// over; who asks them next says so. When `keep_waiting` says no, the outcome is as far as it came. Main thread only.
/// Throws ConfigError when `worker` is of no installed tree, LaunchError when that tree is itself damaged.
PushOutcome push_tree(const PoolSpec& pool, const std::vector<std::string>& hosts, const std::filesystem::path& worker,
                      PushMode mode, const KeepWaiting& keep_waiting);

}  // namespace regatta
