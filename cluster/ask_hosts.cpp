#include "cluster/ask_hosts.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <bit>
#include <chrono>
#include <memory>
#include <thread>

#include "cluster/launcher.hpp"
#include "cluster/scratch.hpp"
#include "cluster/ssh.hpp"
#include "common/error.hpp"
#include "common/files.hpp"

namespace regatta {

namespace {

using namespace std::chrono_literals;

// ssh gives up after 5 s where nobody answers. A host that does may have to load libtorch from a cold disk.
constexpr Duration kAnswerWithin = 30s;
constexpr Duration kSignWithin = 3s;
constexpr auto kHostLook = 10ms;

}  // namespace

std::vector<HostReply> run_on_hosts(const PoolSpec& pool, const std::vector<std::string>& hosts,
                                    const std::string& command, const fs::path& input, Duration deadline,
                                    const KeepWaiting& keep_waiting) {
  const Scratch scratch("regatta-hosts");
  std::vector<std::unique_ptr<LocalProcess>> running;
  std::vector<HostReply> replies;
  for (const auto& host : hosts) {
    auto argv = ssh_program(pool);
    argv.insert(argv.end(), {host, command});
    const fs::path log = scratch.path() / std::to_string(running.size());
    running.push_back(std::make_unique<LocalProcess>(argv, log, input));
    replies.push_back({.host = host, .code = -1});
  }
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (bool waiting = true; waiting;) {
    waiting = false;
    for (std::size_t i = 0; i < running.size(); ++i) {
      if (!running[i]) continue;
      if (const auto status = running[i]->poll()) {
        replies[i].code = status->code;
        running[i].reset();
      } else {
        waiting = true;
      }
    }
    if (!waiting || std::chrono::steady_clock::now() > end || !keep_waiting()) break;
    std::this_thread::sleep_for(kHostLook);
  }
  for (std::size_t i = 0; i < running.size(); ++i) {
    running[i].reset();  // kills what still runs
    replies[i].text = read_file(scratch.path() / std::to_string(i));
  }
  return replies;
}

std::vector<HostAnswer> ask_hosts(const PoolSpec& pool, const std::vector<std::string>& hosts,
                                  const HostQuestion& question, const KeepWaiting& keep_waiting) {
  const Scratch scratch("regatta-hosts");
  const fs::path script = scratch.path() / "question";
  write_file_atomically(script, question_script(question));
  std::vector<HostAnswer> answers;
  constexpr int kSshFailed = 255;
  for (const auto& reply : run_on_hosts(pool, hosts, "/bin/sh -s", script, kAnswerWithin, keep_waiting)) {
    HostAnswer answer = read_answer(reply.host, reply.text);
    if (reply.code == kSshFailed) answer = {.host = reply.host, .trouble = ssh_trouble(pool, reply.host, reply.text)};
    if (reply.code == -1)
      answer = {.host = reply.host,
                .trouble = fmt::format(
                    "host {}: ssh reached it and got no answer within {:.0f} s\n  look at its load and its disks",
                    reply.host, seconds(kAnswerWithin))};
    answers.push_back(std::move(answer));
  }
  return answers;
}

std::vector<std::string> silent_hosts(const PoolSpec& pool, const std::vector<std::string>& hosts) {
  std::vector<std::string> silent;
  for (const auto& reply : run_on_hosts(pool, hosts, "true", "/dev/null", kSignWithin, [] { return true; }))
    if (reply.code != 0) silent.push_back(reply.host);
  return silent;
}

std::string first_line_of(const std::vector<std::string>& argv) {
  const Scratch scratch("regatta-asked");
  try {
    LocalProcess process(argv, scratch.path() / "said");
    const auto end = std::chrono::steady_clock::now() + kAnswerWithin;
    std::optional<ExitStatus> ended;
    while (!(ended = process.poll()) && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(kHostLook);
    if (!ended || ended->code != 0) return "";
    const std::string said = read_file(scratch.path() / "said");
    return said.substr(0, said.find('\n'));
  } catch (const LaunchError&) {
    return "";
  }
}

std::vector<HostAddress> own_addresses() {
  std::vector<HostAddress> found;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return found;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, &::freeifaddrs);
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_netmask == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if ((one->ifa_flags & IFF_UP) == 0) continue;
    const auto& address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr;
    const auto& mask = reinterpret_cast<const sockaddr_in*>(one->ifa_netmask)->sin_addr;
    char text[INET_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET, &address, text, sizeof text);
    found.push_back({one->ifa_name, fmt::format("{}/{}", text, std::popcount(mask.s_addr))});
  }
  return found;
}

}  // namespace regatta
