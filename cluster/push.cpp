// A tree is named by the hash of its MANIFEST, which has the sha256 of every file in it: a host that has the name has
// the tree, because it gets the name last (rename), after every sum was right. Hosts that share a home folder may
// unpack it at the same time: the first rename wins, the others find it done.
#include "cluster/push.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <optional>
#include <sstream>
#include <thread>

#include "cluster/launcher.hpp"
#include "cluster/scratch.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/printable.hpp"
#include "common/shell.hpp"

namespace regatta {

namespace {

using namespace std::chrono_literals;

constexpr Duration kFindWithin = 30s;
constexpr double kSlowestBytesPerS = 2e6;  // 500 MB take four minutes at 16 Mbit/s
constexpr std::string_view kTreeMark = "regatta:tree ";

std::string find_script(const PoolSpec& pool, const std::string& hash) {
  const std::string base =
      pool.push_to.empty() ? "\"${XDG_CACHE_HOME:-$HOME/.cache}/regatta\"" : shell_quoted(pool.push_to);
  return "d=" + base + "/trees/" + hash +
         "\n"
         "if [ -e \"$d/MANIFEST\" ]; then h=yes; else h=no; fi\n"
         "printf 'regatta:tree %s %s\\n' \"$h\" \"$d\"\n";
}

/// One line: any login shell hands it on.
std::string unpack_command(const std::string& folder) {
  const std::string script =
      "umask 022; d=" + shell_quoted(folder) +
      "; t=$d.new.$(uname -n).$$; mkdir -p \"$t\" && tar -xf - -C \"$t\" && (cd \"$t\" && sha256sum "
      "--quiet -c MANIFEST) && { mv -T \"$t\" \"$d\" 2>/dev/null || [ -e \"$d/MANIFEST\" ]; }; "
      "r=$?; rm -rf \"$t\"; exit $r";
  return "exec /bin/sh -c " + shell_quoted(script);
}

void make_archive(const fs::path& tree, const fs::path& archive, const fs::path& log, const KeepWaiting& keep_waiting) {
  LocalProcess tar({"tar", "-C", tree.string(), "-cf", archive.string(), "."}, log);
  std::optional<ExitStatus> ended;
  while (!(ended = tar.poll()) && keep_waiting()) std::this_thread::sleep_for(10ms);
  if (!ended || ended->code != 0)
    throw LaunchError("--push: tar of " + tree.string() + " failed: " + printable(read_file(log)));
}

struct Found {
  bool there = false;
  std::string folder;
};

std::optional<Found> read_found(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kTreeMark)) continue;
    const std::string rest = line.substr(kTreeMark.size());
    const auto space = rest.find(' ');
    if (space != std::string::npos) return Found{rest.substr(0, space) == "yes", rest.substr(space + 1)};
  }
  return {};
}

}  // namespace

PushOutcome push_tree(const PoolSpec& pool, const std::vector<std::string>& hosts, const fs::path& worker,
                      const KeepWaiting& keep_waiting) {
  const fs::path tree = worker.parent_path().parent_path();
  if (!fs::exists(tree / "MANIFEST"))
    throw ConfigError("--push: " + worker.string() +
                      " belongs to no installed tree\n  make one with ./dev install DIR, and start "
                      "DIR/bin/regatta run ... --push");
  const auto begin = std::chrono::steady_clock::now();
  const std::string hash = xxh3_file_hex(tree / "MANIFEST");
  const Scratch scratch("regatta-push");
  write_file_atomically(scratch.path() / "find", find_script(pool, hash));

  PushOutcome outcome;
  std::string folder;
  std::vector<std::string> without;
  for (const auto& reply :
       run_on_hosts(pool, hosts, "/bin/sh -s", scratch.path() / "find", kFindWithin, keep_waiting)) {
    const auto found = read_found(reply.text);
    if (!found) continue;  // not reached
    if (folder.empty()) folder = found->folder;
    if (found->folder != folder)
      outcome.failed[reply.host] = fmt::format(
          "host {}: its folder for the tree differs from the others' (expected {}, found {})\n  write "
          "push_to: /scratch/regatta in the pool, for example: a path for all hosts",
          reply.host, printable(folder), printable(found->folder));
    else if (!found->there)
      without.push_back(reply.host);
  }
  if (folder.empty()) return outcome;
  outcome.worker = fs::path(folder) / worker.lexically_relative(tree);
  outcome.said = "--push: all hosts have this tree";
  if (without.empty()) return outcome;

  const fs::path archive = scratch.path() / "tree.tar";
  make_archive(tree, archive, scratch.path() / "tar.log", keep_waiting);
  const auto bytes = static_cast<double>(fs::file_size(archive));
  std::vector<std::string> copied;
  for (const auto& reply : run_on_hosts(pool, without, unpack_command(folder), archive,
                                        60s + from_seconds(bytes / kSlowestBytesPerS), keep_waiting)) {
    if (reply.code == 0)
      copied.push_back(reply.host);
    else
      outcome.failed[reply.host] = fmt::format(
          "host {}: the tree could not be copied to {}: {}\n  look at the room there, or name another folder: push_to "
          "in the pool",
          reply.host, printable(folder), reply.code == -1 ? "it took too long" : printable(reply.text.substr(0, 500)));
  }
  outcome.said = fmt::format("--push: copied {:.0f} MB to {} on {} in {:.1f} s", bytes / 1e6, printable(folder),
                             fmt::join(copied, ", "), seconds(std::chrono::steady_clock::now() - begin));
  return outcome;
}

}  // namespace regatta
