#pragma once
// What hosts reached by ssh are asked before anything is launched on them, how their answers are read, and why one
// cannot take ranks. Pure; ask_hosts.hpp does the asking.

#include <filesystem>
#include <string>
#include <vector>

#include "cluster/spec.hpp"

namespace regatta {

struct HostQuestion {
  std::filesystem::path worker;             ///< regatta-worker, as it lies on the hosts; empty: not asked
  std::filesystem::path token;              ///< a file in the runs' folder; empty: not asked
  std::vector<std::filesystem::path> data;  ///< what the ranks will read
};

/// The question as a script for /bin/sh, which answers in lines "regatta:KEY VALUE".
std::string question_script(const HostQuestion& question);

struct HostAddress {
  std::string interface, network;  ///< "e0", "10.99.0.2/24"
  bool operator==(const HostAddress&) const = default;
};

struct HostAnswer {
  std::string host;            ///< as the pool names it
  std::string trouble;         ///< why there is no answer; the rest is empty then
  std::string name;            ///< as it calls itself
  std::string address, asker;  ///< at which it was asked, and from which
  std::vector<HostAddress> addresses;
  bool worker_missing = false, worker_blocked = false;  ///< not there; there and not executable
  std::vector<std::string> missing_libraries;
  std::string worker_version;  ///< "regatta-worker 0.1.0", or what it said instead
  std::string mpi_version;     ///< "mpirun (Open MPI) 4.1.4"; empty: no mpirun
  bool has_orted = false;
  std::string token;                    ///< what it read there; empty: it does not see the file
  bool writes = false;                  ///< into the token's folder
  std::vector<std::string> unreadable;  ///< of the question's data
};

/// `text`: what the script printed, among whatever else a login prints. An answer without its end has `trouble`.
HostAnswer read_answer(const std::string& host, const std::string& text);

struct HostNeeds {
  std::string worker;                       ///< path, for messages
  std::string worker_version, mpi_version;  ///< as here; empty: not known
  std::string token;                        ///< what the file says; empty: not asked
  std::string runs;                         ///< the folder that it lies in
};

/// Why the host cannot take ranks, all of it, and what to do; empty: it can. The host of rank 0 needs the runs' folder.
std::string host_refusal(const HostAnswer& answer, const HostNeeds& needs, bool first);

/// Networks for the ranks and for mpirun's daemons, and why.
struct NetworkChoice {
  std::string ranks, daemons;  ///< for *_tcp_if_include; empty: Open MPI chooses
  std::string words;           ///< "10.99.0.0/24 (e0 on n1, eth1 on n2)"
  std::string refused;         ///< a host does not have what the file names
};

/// `wanted`: the pool's interface, a name or CIDR; empty: the network by which all hosts were reached, if it is one.
/// `here`: this host's own addresses, on which mpirun itself has to be found by its daemons.
NetworkChoice choose_network(const std::string& wanted, const std::vector<HostAnswer>& hosts,
                             const std::vector<HostAddress>& here);

}  // namespace regatta
