#include "cluster/ssh.hpp"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <sstream>
#include <utility>

#include "common/printable.hpp"

namespace regatta {

namespace {

/// The last line that says something and is not ssh's art around a warning.
std::string last_words(const std::string& text) {
  std::string last;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    bool says = false;
    for (const char c : line) says |= std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (says) last = line;
  }
  return printable(last.starts_with("ssh: ") ? last.substr(5) : last);
}

struct Trouble {
  const char *words, *what, *advice;
};

// OpenSSH 7 to 9; the first that is found counts. {0}: host, {1}: "-F FILE ", or nothing.
constexpr std::array<Trouble, 10> kTroubles{{
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is not the one that is known",
     "if {0} was set up anew, forget its old key (ssh-keygen -R {0}, with -f FILE where it is not in ~/.ssh) and log "
     "in "
     "once by hand: ssh {1}{0}; else somebody stands between"},
    {"Host key verification failed", "its host key is not known here", "log in once by hand: ssh {1}{0}"},
    {"Permission denied", "ssh is not let in without a password",
     "give it a key (ssh-copy-id {0}) that needs no passphrase, or an agent has; try: ssh -o BatchMode=yes {1}{0} "
     "true"},
    {"Could not resolve hostname", "nobody knows a host of this name",
     "mend the name in the cluster file, or the HostName in the ssh_config"},
    {"Connection refused", "it is up, but no sshd listens there",
     "start sshd on it, or write its Port into the ssh_config"},
    {"timed out", "it does not answer", "is it up, and its cable in? try: ssh {1}{0} true"},
    {"No route to host", "there is no way to it", "is it up, and its cable in? try: ssh {1}{0} true"},
    {"Network is unreachable", "there is no way to it", "look at this host's network; try: ssh {1}{0} true"},
    {"Bad configuration option", "ssh does not understand its configuration",
     "mend the ssh_config; try: ssh {1}{0} true"},
    {"Connection closed", "it closed the connection", "look at its sshd's log; try: ssh {1}{0} true"},
}};

}  // namespace

std::vector<std::string> ssh_program(const PoolSpec& pool) {
  std::vector<std::string> argv = {"ssh"};
  if (pool.ssh_config) argv.insert(argv.end(), {"-F", pool.ssh_config->string()});
  argv.insert(argv.end(), {"-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=2", "-o",
                           "ServerAliveCountMax=3"});
  return argv;
}

std::string ssh_trouble(const PoolSpec& pool, const std::string& host, const std::string& text) {
  const std::string config = pool.ssh_config ? "-F " + pool.ssh_config->string() + " " : "";
  const std::string said = last_words(text);
  for (const auto& [words, what, advice] : kTroubles)
    if (text.find(words) != std::string::npos)
      return fmt::format("host {}: {} (ssh: {})\n  {}", host, what, said,
                         fmt::format(fmt::runtime(advice), host, config));
  return fmt::format("host {}: ssh failed: {}\n  try: ssh {}{} true", host, said.empty() ? "it said nothing" : said,
                     config, host);
}

}  // namespace regatta
