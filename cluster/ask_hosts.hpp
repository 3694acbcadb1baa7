#pragma once
// Asking hosts by ssh, all at once.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cluster/host_check.hpp"
#include "common/time.hpp"

namespace regatta {

/// What a command on a host came to.
struct HostReply {
  std::string host;
  int code = 0;      ///< the command's, or ssh's 255; -1: it did not end in time
  std::string text;  ///< what both printed
};

/// Asked now and then while one waits; false: give up.
using KeepWaiting = std::function<bool()>;

/// `command` on each host, with `input` as its stdin, in parallel; those that have not ended by the deadline are
/// killed. Main thread only. Throws LaunchError when there is no ssh here.
std::vector<HostReply> run_on_hosts(const PoolSpec& pool, const std::vector<std::string>& hosts,
                                    const std::string& command, const std::filesystem::path& input, Duration deadline,
                                    const KeepWaiting& keep_waiting);

/// One answer a host, in order.
std::vector<HostAnswer> ask_hosts(const PoolSpec& pool, const std::vector<std::string>& hosts,
                                  const HostQuestion& question, const KeepWaiting& keep_waiting);

/// Those that do not answer ssh within 3 s: which host it was that fell silent.
std::vector<std::string> silent_hosts(const PoolSpec& pool, const std::vector<std::string>& hosts);

/// The first line that a program on this host prints; empty when it fails.
std::string first_line_of(const std::vector<std::string>& argv);

/// This host's own IPv4 addresses on interfaces that are up.
std::vector<HostAddress> own_addresses();

}  // namespace regatta
