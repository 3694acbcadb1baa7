// A tree is named by its MANIFEST, which has the SHA-256 of every file in it, and gets the name on a host last
// (rename), after every sum was right. Later a host may lose or change a file of it, so each push looks again: the list
// of files with their sizes and times of change, as it stood when the sums were right last, is in CHECKED; where the
// present one is another, the sums are made anew. Where somebody else may write to the tree's folder none of this says
// anything: it counts as damaged. Hosts that share a home folder may unpack it at the same time: the
// first rename wins, the others find it done.
#include "cluster/push.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <optional>
#include <sstream>
#include <thread>

#include "cluster/launcher.hpp"
#include "cluster/scratch.hpp"
#include "cluster/ssh.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/printable.hpp"
#include "common/shell.hpp"

namespace regatta {

namespace {

using namespace std::chrono_literals;

constexpr Duration kAnswerWithin = 30s;
constexpr double kSlowestDiskBytesPerS = 1e7;  // of a host that makes sums: a cold disk, or NFS
constexpr double kSlowestBytesPerS = 2e6;      // 500 MB take four minutes at 16 Mbit/s
constexpr std::string_view kTreeMark = "regatta:tree ";
constexpr int kSumsDiffer = 3, kSshFailed = 255, kNotInTime = -1;
constexpr std::size_t kMostWords = 500;  // of a program that failed

/// Functions of a shell, with SUM for the MANIFEST's own. One line without '!', which csh would take for itself.
constexpr std::string_view kTreeFunctions =
    R"sh(list() { (cd "$1" && find . -type d -o -path './CHECKED*' -o -printf '%p %l %s %T@ %C@\n' | LC_ALL=C sort); }; )sh"
    R"sh(sums() { (cd "$1" && [ "$(sha256sum <MANIFEST)" = 'SUM  -' ] && sha256sum --quiet -c MANIFEST); }; )sh"
    R"sh(own() { [ -n "$(find "$1" -prune -user "$(id -u)" -not -perm -020 -not -perm -002)" ]; }; )sh"
    R"sh(known() { own "$1" && [ -s "$1/CHECKED" ] && [ "$(list "$1")" = "$(cat "$1/CHECKED")" ]; }; )sh"
    R"sh(right() { own "$1" && sums "$1" >/dev/null 2>&1; }; )sh"
    R"sh(whole() { known "$1" || right "$1"; }; )sh";

/// What is to be pushed.
struct Tree {
  fs::path folder;
  std::string sum;  ///< of its MANIFEST, SHA-256
  std::int64_t bytes = 0;

  std::string name() const { return sum.substr(0, 16); }
  std::string functions() const {
    std::string text(kTreeFunctions);
    return text.replace(text.find("SUM"), 3, sum);
  }
};

Tree tree_of(const fs::path& worker) {
  Tree tree{.folder = worker.parent_path().parent_path()};
  if (!fs::exists(tree.folder / "MANIFEST"))
    throw ConfigError("--push: " + worker.string() +
                      " belongs to no installed tree\n  make one with ./dev install DIR, and start "
                      "DIR/bin/regatta run ... --push");
  constexpr std::size_t kSumLength = 64;
  tree.sum = first_line_of({"sha256sum", (tree.folder / "MANIFEST").string()}).substr(0, kSumLength);
  if (tree.sum.find_first_not_of("0123456789abcdef") != std::string::npos || tree.sum.size() != kSumLength)
    throw LaunchError("--push: sha256sum cannot read " + (tree.folder / "MANIFEST").string() +
                      "\n  look at its permissions, and whether there is a sha256sum (Debian: coreutils)");
  for (const auto& entry : fs::recursive_directory_iterator(tree.folder))
    if (entry.is_regular_file() && !entry.is_symlink()) tree.bytes += static_cast<std::int64_t>(entry.file_size());
  return tree;
}

/// How long a host may take to read a tree.
Duration reading_limit(const Tree& tree) {
  return kAnswerWithin + from_seconds(static_cast<double>(tree.bytes) / kSlowestDiskBytesPerS);
}

/// A program of this host that reads the tree; nothing when it was given up.
std::optional<ExitStatus> wait_for(const std::vector<std::string>& argv, const Tree& tree, const fs::path& log,
                                   const KeepWaiting& keep_waiting) {
  LocalProcess process(argv, log);
  const auto end = std::chrono::steady_clock::now() + reading_limit(tree);
  std::optional<ExitStatus> ended;
  while (!(ended = process.poll()) && keep_waiting()) {
    if (std::chrono::steady_clock::now() > end)
      throw LaunchError(fmt::format("--push: {} of {} has not ended within {:.0f} s\n  look at the disk it lies on",
                                    argv[0], tree.folder.string(), seconds(reading_limit(tree))));
    std::this_thread::sleep_for(10ms);
  }
  return ended;
}

/// False when it was given up.
bool check_source(const Tree& tree, const fs::path& log, const KeepWaiting& keep_waiting) {
  const std::string script = "cd \"$0\" && LC_ALL=C exec sha256sum --quiet -c MANIFEST";
  const auto ended = wait_for({"sh", "-c", script, tree.folder.string()}, tree, log, keep_waiting);
  if (!ended) return false;
  if (ended->code == 0) return true;
  std::istringstream lines(read_file(log));
  std::vector<std::string> wrong;
  for (std::string line; std::getline(lines, line);)
    if (const auto at = line.find(": FAILED"); at != std::string::npos) wrong.push_back(printable(line.substr(0, at)));
  constexpr std::size_t kMostNamed = 3;
  if (wrong.size() > kMostNamed) {
    wrong[kMostNamed] = fmt::format("{} more", wrong.size() - kMostNamed);
    wrong.resize(kMostNamed + 1);
  }
  throw LaunchError(fmt::format("--push: the tree {} on this host is damaged: {}\n  make it anew: ./dev install DIR",
                                tree.folder.string(),
                                wrong.empty() ? printable(read_file(log).substr(0, kMostWords))
                                              : fmt::format("not as in its MANIFEST: {}", fmt::join(wrong, ", "))));
}

/// False when it was given up.
bool make_archive(const Tree& tree, const fs::path& archive, const fs::path& log, const KeepWaiting& keep_waiting) {
  const auto ended =
      wait_for({"tar", "-C", tree.folder.string(), "-cf", archive.string(), "."}, tree, log, keep_waiting);
  if (ended && ended->code != 0)
    throw LaunchError("--push: tar of " + tree.folder.string() + " failed: " + printable(read_file(log)) +
                      "\n  look at the room in " + archive.parent_path().parent_path().string() +
                      ", or name another folder in TMPDIR");
  return ended.has_value();
}

std::string find_script(const PoolSpec& pool, const Tree& tree, PushMode mode) {
  const std::string base =
      pool.push_to.empty() ? "\"${XDG_CACHE_HOME:-$HOME/.cache}/regatta\"" : shell_quoted(pool.push_to);
  std::string script = tree.functions() + "d=" + base + "/trees/" + tree.name() +
                       "\n"
                       "if [ ! -e \"$d\" ]; then h=no\n"
                       "elif known \"$d\"; then h=yes\n"
                       "else\n"
                       "  l=$(list \"$d\")\n"
                       "  if right \"$d\"; then h=yes; else h=damaged; fi\n";
  if (mode == PushMode::kCopy)  // for the next time; where it cannot be written, the sums are made then, too
    script +=
        "  c=$d/CHECKED.$(uname -n).$$\n"
        "  if [ $h = yes ] && ( printf '%s\\n' \"$l\" >\"$c\" ) 2>/dev/null; then mv -f \"$c\" \"$d/CHECKED\"; fi\n";
  return script + "fi\nprintf 'regatta:tree %s %s\\n' \"$h\" \"$d\"\n";
}

/// One line: any login shell hands it on.
std::string unpack_command(const Tree& tree, const std::string& folder) {
  const std::string script =
      "umask 022; " + tree.functions() + "d=" + shell_quoted(folder) +
      "; t=$d.new.$(uname -n).$$; o=$t.old; r=1; "
      "if mkdir -p \"$t\" && tar --no-same-owner -xf - -C \"$t\"; then l=$(list \"$t\"); "
      "if sums \"$t\"; then printf '%s\\n' \"$l\" >\"$t/CHECKED\"; "
      // A damaged one gives way, but not a whole one that came meanwhile from a host with the same home.
      "if [ -e \"$d\" ]; then whole \"$d\" || mv -T \"$d\" \"$o\"; fi; "
      "[ -e \"$d\" ] || mv -T \"$t\" \"$d\"; whole \"$d\"; r=$?; else r=" +
      std::to_string(kSumsDiffer) + "; fi; fi; rm -rf \"$t\" \"$o\"; exit $r";
  return "exec /bin/sh -c " + shell_quoted(script);
}

struct Found {
  std::string state;  ///< yes, no, damaged
  std::string folder;
};

std::optional<Found> read_found(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kTreeMark)) continue;
    const std::string rest = line.substr(kTreeMark.size());
    const auto space = rest.find(' ');
    if (space != std::string::npos) return Found{rest.substr(0, space), rest.substr(space + 1)};
  }
  return {};
}

std::string copy_failure(const PoolSpec& pool, const HostReply& reply, const std::string& folder) {
  if (reply.code == kSshFailed) return ssh_trouble(pool, reply.host, reply.text);
  const std::string words = printable(reply.text.substr(0, kMostWords));
  if (reply.code == kSumsDiffer)
    return fmt::format("host {}: the tree arrived damaged in {}: {}\n  look at its disk and its memory, and try again",
                       reply.host, printable(folder), words);
  return fmt::format(
      "host {}: the tree could not be copied to {}: {}\n  look at the room there, or name another folder: push_to "
      "in the pool",
      reply.host, printable(folder), reply.code == kNotInTime ? "it took too long" : words);
}

/// Where the tree is, or will be, as the hosts that answer say.
struct Places {
  std::string folder;  ///< empty: nobody answers
  std::vector<std::string> whole, without, damaged;
  std::map<std::string, std::string> failed;
};

Places find_tree(const PoolSpec& pool, const std::vector<std::string>& hosts, const Tree& tree, PushMode mode,
                 const KeepWaiting& keep_waiting) {
  const Scratch scratch("regatta-push");
  write_file_atomically(scratch.path() / "find", find_script(pool, tree, mode));
  const Duration limit = reading_limit(tree);
  Places places;
  for (const auto& reply : run_on_hosts(pool, hosts, "/bin/sh -s", scratch.path() / "find", limit, keep_waiting)) {
    const auto found = read_found(reply.text);
    if (!found && reply.code == kNotInTime)
      places.failed[reply.host] = fmt::format(
          "host {}: it did not say within {:.0f} s whether it has the tree\n  look at its load and its disks",
          reply.host, seconds(limit));
    if (!found) continue;  // not reached
    if (places.folder.empty()) places.folder = found->folder;
    if (found->folder != places.folder) {
      places.failed[reply.host] = fmt::format(
          "host {}: its folder for the tree differs from the others' (expected {}, found {})\n  write "
          "push_to: /scratch/regatta in the pool, for example: a path for all hosts",
          reply.host, printable(places.folder), printable(found->folder));
      continue;
    }
    (found->state == "yes" ? places.whole : places.without).push_back(reply.host);
    if (found->state == "damaged") places.damaged.push_back(reply.host);
  }
  return places;
}

/// Gives the hosts that have it now.
std::vector<std::string> copy_tree(const PoolSpec& pool, const Places& places, const Tree& tree,
                                   const fs::path& archive, const KeepWaiting& keep_waiting,
                                   std::map<std::string, std::string>& failed) {
  const auto bytes = static_cast<double>(fs::file_size(archive));
  const auto hosts = static_cast<double>(places.without.size());  // they share the way out of this host
  const Duration limit =
      kAnswerWithin + from_seconds(hosts * bytes / kSlowestBytesPerS + bytes / kSlowestDiskBytesPerS);
  std::vector<std::string> copied;
  for (const auto& reply :
       run_on_hosts(pool, places.without, unpack_command(tree, places.folder), archive, limit, keep_waiting)) {
    if (reply.code == 0)
      copied.push_back(reply.host);
    else
      failed[reply.host] = copy_failure(pool, reply, places.folder);
  }
  return copied;
}

}  // namespace

PushOutcome push_tree(const PoolSpec& pool, const std::vector<std::string>& hosts, const fs::path& worker,
                      PushMode mode, const KeepWaiting& keep_waiting) {
  const Tree tree = tree_of(worker);
  const auto begin = std::chrono::steady_clock::now();
  const Places places = find_tree(pool, hosts, tree, mode, keep_waiting);
  PushOutcome outcome{.failed = places.failed, .tree_bytes = tree.bytes};
  if (places.folder.empty()) return outcome;
  outcome.worker = fs::path(places.folder) / worker.lexically_relative(tree.folder);
  if (places.without.empty()) {
    const bool all = places.whole.size() == hosts.size();
    outcome.said = all ? "--push: all hosts have this tree" : "--push: the hosts that answer have this tree";
    return outcome;
  }
  std::string damaged;
  if (!places.damaged.empty())
    damaged = fmt::format("; the one that {} had was damaged", fmt::join(places.damaged, ", "));

  const Scratch scratch("regatta-push");
  const fs::path archive = scratch.path() / "tree.tar";
  if (!check_source(tree, scratch.path() / "sums.log", keep_waiting)) return outcome;
  if (mode == PushMode::kLook) {
    outcome.lacking = places.without;
    outcome.said = fmt::format("--push: would copy {:.0f} MB to {} on {}{}", static_cast<double>(tree.bytes) / 1e6,
                               printable(places.folder), fmt::join(places.without, ", "), damaged);
    return outcome;
  }
  if (!make_archive(tree, archive, scratch.path() / "tar.log", keep_waiting)) return outcome;
  const auto copied = copy_tree(pool, places, tree, archive, keep_waiting, outcome.failed);
  if (!copied.empty())
    outcome.said = fmt::format("--push: copied {:.0f} MB to {} on {} in {:.1f} s{}",
                               static_cast<double>(tree.bytes) / 1e6, printable(places.folder), fmt::join(copied, ", "),
                               seconds(std::chrono::steady_clock::now() - begin), damaged);
  return outcome;
}

}  // namespace regatta
