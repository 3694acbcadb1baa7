#include "cluster/host_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <string_view>

#include "common/ipv4.hpp"
#include "common/printable.hpp"
#include "common/shell.hpp"

namespace regatta {

namespace {

constexpr std::string_view kMark = "regatta:";

bool is_loopback(const Ipv4Network& network) {
  return Ipv4Network{0x7F000000, 8}.holds(network.address);
}

/// The interface with an address that `matches`; null: none.
template <class Matches>
const HostAddress* find_address(const std::vector<HostAddress>& addresses, Matches matches) {
  const auto at = std::find_if(addresses.begin(), addresses.end(), matches);
  return at == addresses.end() ? nullptr : &*at;
}

const HostAddress* find_within(const std::vector<HostAddress>& addresses, const Ipv4Network& network) {
  return find_address(addresses, [&](const HostAddress& one) {
    const auto own = parse_ipv4_network(one.network);
    return own && network.holds(own->address);
  });
}

const HostAddress* find_interface(const std::vector<HostAddress>& addresses, const std::string& name) {
  return find_address(addresses, [&](const HostAddress& one) { return one.interface == name; });
}

/// Why a person's choice cannot be had on a host; empty: it can.
NetworkChoice choose_wanted(const std::string& wanted, const std::vector<HostAnswer>& hosts,
                            const std::vector<HostAddress>& here) {
  const auto network = parse_ipv4_network(wanted);
  const auto find = [&](const std::vector<HostAddress>& addresses) {
    return network ? find_within(addresses, *network) : find_interface(addresses, wanted);
  };
  NetworkChoice choice{.ranks = wanted, .words = wanted + ", as the cluster file says"};
  for (const auto& host : hosts) {
    const HostAddress* const found = find(host.addresses);
    const auto own = found == nullptr ? std::nullopt : parse_ipv4_network(found->network);
    if (own && hosts.size() > 1 && is_loopback(*own)) {
      choice.refused = fmt::format("interface {} reaches each host alone\n  write one on which all hosts meet", wanted);
      return choice;
    }
    if (found != nullptr) continue;
    std::vector<std::string> known;
    for (const auto& one : host.addresses) known.push_back(one.interface + " " + one.network);
    choice.refused =
        fmt::format("host {}: no interface \"{}\"\n  it has {}; write one that all hosts have, or their network",
                    host.host, wanted, fmt::join(known, ", "));
    return choice;
  }
  if (find(here) != nullptr) choice.daemons = wanted;
  return choice;
}

}  // namespace

std::string question_script(const HostQuestion& question) {
  std::string script =
      "say() { printf 'regatta:%s %s\\n' \"$1\" \"$2\"; }\n"
      "say name \"$(uname -n)\"\n"
      "say connection \"$SSH_CONNECTION\"\n"
      "PATH=$PATH:/usr/sbin:/sbin ip -o -4 addr show up 2>/dev/null | while read -r n i f a rest; do say address \"$i "
      "$a\"; done\n"
      "if command -v orted >/dev/null 2>&1; then say orted yes; fi\n"
      "say mpi \"$(mpirun --version 2>/dev/null | head -n 1)\"\n";
  if (!question.worker.empty()) {
    script += "w=" + shell_quoted(question.worker.string()) +
              "\n"
              "if [ ! -e \"$w\" ]; then say worker missing\n"
              "elif [ ! -x \"$w\" ]; then say worker blocked\n"
              "else\n"
              "  ldd \"$w\" 2>/dev/null | while read -r l arrow rest; do\n"
              "    if [ \"$rest\" = 'not found' ]; then say library \"$l\"; fi\n"
              "  done\n"
              "  say version \"$(\"$w\" --version 2>&1 | head -n 1)\"\n"
              "fi\n";
  }
  if (!question.token.empty()) {
    script += "t=" + shell_quoted(question.token.string()) +
              "\n"
              "if [ -r \"$t\" ]; then say token \"$(cat \"$t\")\"; fi\n"
              "if ( : >\"$t.$$\" ) 2>/dev/null; then say writes yes; rm -f \"$t.$$\"; fi\n";
  }
  for (const auto& path : question.data) {
    script += "d=" + shell_quoted(path.string()) + "\n";
    script += "if [ ! -r \"$d\" ]; then say unreadable \"$d\"; fi\n";
  }
  return script + "say end .\n";
}

HostAnswer read_answer(const std::string& host, const std::string& text) {
  HostAnswer answer{.host = host};
  bool ended = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kMark)) continue;
    const auto space = line.find(' ');
    if (space == std::string::npos) continue;
    const std::string key = line.substr(kMark.size(), space - kMark.size()), value = line.substr(space + 1);
    std::istringstream words(value);
    if (key == "name") answer.name = value;
    if (key == "connection") {
      std::string port;
      words >> answer.asker >> port >> answer.address;
    }
    if (key == "address") {
      HostAddress one;
      words >> one.interface >> one.network;
      answer.addresses.push_back(one);
    }
    if (key == "orted") answer.has_orted = true;
    if (key == "mpi") answer.mpi_version = value;
    if (key == "worker") (value == "missing" ? answer.worker_missing : answer.worker_blocked) = true;
    if (key == "library") answer.missing_libraries.push_back(value);
    if (key == "version") answer.worker_version = value;
    if (key == "token") answer.token = value;
    if (key == "writes") answer.writes = true;
    if (key == "unreadable") answer.unreadable.push_back(value);
    ended |= key == "end";
  }
  if (!ended)
    return {.host = host,
            .trouble =
                "host " + host + ": it was asked by ssh and gave no whole answer: " + printable(text.substr(0, 500))};
  return answer;
}

std::string host_refusal(const HostAnswer& answer, const HostNeeds& needs, bool first) {
  if (!answer.trouble.empty()) return answer.trouble;
  std::vector<std::string> found;
  const auto say = [&](const std::string& what, const std::string& advice) {
    found.push_back("host " + answer.host + ": " + printable(what) + "\n  " + printable(advice));
  };
  if (!answer.has_orted)
    say("no orted in the PATH that ssh gives to commands",
        "install Open MPI there (Debian: openmpi-bin), or add its folder to the PATH of shells that nobody looks at");
  else if (!needs.mpi_version.empty() && !answer.mpi_version.empty() && answer.mpi_version != needs.mpi_version)
    say(fmt::format("another MPI (expected {}, found {})", needs.mpi_version, answer.mpi_version),
        "install the same version on all hosts");
  if (answer.worker_missing)
    say("no worker at " + needs.worker,
        "share that folder with the host, or copy it there: --push, from a tree that ./dev install DIR has made");
  else if (answer.worker_blocked)
    say("the worker at " + needs.worker + " is not executable there",
        "look at its permissions, and whether it lies on a mount with noexec");
  else if (!answer.missing_libraries.empty())
    say(fmt::format("{} lacks {}", needs.worker, fmt::join(answer.missing_libraries, ", ")),
        "install what is missing there, or copy a tree that has its own libtorch: --push");
  else if (!needs.worker_version.empty() && answer.worker_version != needs.worker_version)
    say(fmt::format("another worker at {} (expected {}, found {})", needs.worker, needs.worker_version,
                    answer.worker_version),
        "install the same version on all hosts, or copy this one there: --push");
  if (first && !needs.token.empty()) {
    if (answer.token != needs.token)
      say("rank 0 runs there, and it does not see the runs' folder " + needs.runs,
          "share the folder with it, name another with --home, or name a host first that sees it");
    else if (!answer.writes)
      say("rank 0 runs there, and it cannot write into the runs' folder " + needs.runs,
          "look at the folder's permissions, and at root_squash where it is NFS");
  }
  if (!answer.unreadable.empty())
    say(fmt::format("it cannot read the data: {}", fmt::join(answer.unreadable, ", ")),
        "mount it there, or copy it to the same path");
  return fmt::format("{}", fmt::join(found, "\n"));
}

NetworkChoice choose_network(const std::string& wanted, const std::vector<HostAnswer>& hosts,
                             const std::vector<HostAddress>& here) {
  if (!wanted.empty()) return choose_wanted(wanted, hosts, here);
  std::optional<Ipv4Network> common;
  std::vector<std::string> interfaces;
  for (const auto& host : hosts) {
    const auto address = parse_ipv4_address(host.address);
    const HostAddress* own = !address ? nullptr : find_address(host.addresses, [&](const HostAddress& one) {
      const auto network = parse_ipv4_network(one.network);
      return network && network->address == *address;
    });
    const auto network = own == nullptr ? std::nullopt : parse_ipv4_network(own->network);
    if (!network || (common && to_text(*common) != to_text(*network))) return {};
    common = network;
    interfaces.push_back(own->interface + " on " + host.host);
  }
  if (!common || (hosts.size() > 1 && is_loopback(*common))) return {};  // forwarded ports: they do not meet there
  NetworkChoice choice{.ranks = to_text(*common),
                       .words = fmt::format("{} ({})", to_text(*common), fmt::join(interfaces, ", "))};
  if (find_within(here, *common) != nullptr) choice.daemons = choice.ranks;
  return choice;
}

}  // namespace regatta
