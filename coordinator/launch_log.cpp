// The words are Open MPI 4.1's (help-errmgr-base.txt, help-orterun.txt):
//   ORTE has lost communication with a remote daemon. ... Remote daemon: [[11029,0],3] on node n3
//   ssh: connect to host n2 port 22: No route to host            (and mpirun ends with 255)
//   mpirun noticed that process rank 1 with PID 261 on node n2 exited on signal 9 (Killed).
// and the worker's own (rank_log.cpp):
//   regatta-worker: error: rank 3 on n4: TEXT, and its further lines
#include "coordinator/launch_log.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <regex>
#include <sstream>

#include "cluster/launcher.hpp"
#include "common/error.hpp"

namespace regatta {

namespace {

constexpr int kHostLost = 205, kNoDaemon = 255;  // mpirun's own codes

Fault lost_host(const std::string& host, const std::vector<std::string>& hosts) {
  return {
      .kind = Fault::Kind::kLostHost, .code = kHostLost, .host = host, .what = host_words(host, hosts) + " was lost"};
}

Fault unreached_host(const std::string& host, const std::vector<std::string>& hosts, const std::string& why) {
  return {.kind = Fault::Kind::kLostHost,
          .code = kNoDaemon,
          .host = host,
          .what = host_words(host, hosts) + " could not be reached by mpirun's ssh: " + why};
}

Fault ended_rank(int rank, const std::string& host, int signal) {
  const char* name = ::sigabbrev_np(signal);
  return {.kind = Fault::Kind::kEndedRank,
          .code = 128 + signal,
          .rank = rank,
          .host = host,
          .what = fmt::format("rank {} on {} was ended by signal {}{}", rank, host, signal,
                              name == nullptr ? "" : fmt::format(" (SIG{})", name))};
}

Fault rank_error(int rank, const std::string& host, const std::string& text) {
  const bool waited = text.find("longer than the deadline") != std::string::npos;
  const bool named = text.starts_with(fmt::format("rank {} on {}", rank, host));
  return {.kind = Fault::Kind::kRankError,
          .code = static_cast<int>(waited ? ExitCode::kDeadline : ExitCode::kFailure),
          .rank = rank,
          .host = host,
          .what = named ? text : fmt::format("rank {} on {}: {}", rank, host, text)};
}

}  // namespace

Json to_json(const Fault& fault) {
  return {{"code", fault.code},
          {"rank", value_or_null(fault.rank)},
          {"host", fault.host.empty() ? Json(nullptr) : Json(fault.host)},
          {"message", fault.what}};
}

std::vector<Fault> find_faults(const std::string& log, const std::vector<std::string>& hosts) {
  static const std::regex daemon(R"(Remote daemon: \[\[\d+,\d+\],\d+\] on node (\S+))");
  static const std::regex unreached(R"(^ssh: connect to host (\S+) port \d+: (.*?)\s*$)");
  static const std::regex ended(R"(process rank (\d{1,7}) with PID \d+ on node (\S+) exited on signal (\d{1,2}))");
  static const std::regex error(R"(^regatta-worker: error: rank (\d{1,7}) on ([^ :]+): (.*)$)");
  std::vector<Fault> faults;
  const auto keep = [&](Fault fault) {
    if (std::find(faults.begin(), faults.end(), fault) == faults.end()) faults.push_back(std::move(fault));
  };
  std::istringstream lines(log);
  bool in_error = false;
  for (std::string line; std::getline(lines, line);) {
    constexpr std::size_t kLongest = 4096;  // a regex on more would be slow, and no sentence is
    if (line.size() > kLongest) line.resize(kLongest);
    std::smatch found;
    if (in_error && line.starts_with("  ")) {
      faults.back().what += "\n" + line;
      continue;
    }
    in_error = false;
    if (std::regex_search(line, found, daemon)) {
      keep(lost_host(found[1], hosts));
    } else if (std::regex_search(line, found, unreached)) {
      keep(unreached_host(found[1], hosts, found[2]));
    } else if (std::regex_search(line, found, ended)) {
      keep(ended_rank(std::stoi(found[1]), found[2], std::stoi(found[3])));
    } else if (std::regex_search(line, found, error)) {
      faults.push_back(rank_error(std::stoi(found[1]), found[2], found[3]));
      in_error = true;
    }
  }
  return faults;
}

std::string host_words(const std::string& host, const std::vector<std::string>& hosts) {
  std::vector<int> ranks;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank)
    if (hosts[rank] == host) ranks.push_back(static_cast<int>(rank));
  if (ranks.empty()) return "host " + host;
  return fmt::format("host {} (rank{} {})", host, ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "));
}

const Fault* root_cause(const std::vector<Fault>& faults) {
  constexpr Fault::Kind kOrder[] = {Fault::Kind::kLostHost, Fault::Kind::kEndedRank, Fault::Kind::kSilentHost,
                                    Fault::Kind::kRankError};
  for (const auto kind : kOrder)
    for (const auto& fault : faults)
      if (fault.kind == kind) return &fault;
  return nullptr;
}

}  // namespace regatta
