#pragma once
// What hosts tell each other of their ranks, so that a wait can name who is late on another host. Pure: no sockets, no
// clock (post_link.hpp has both).
//
// A message, both ways:
//   SIZE  4 bytes, big-endian, of the body; at most kReportLimit
//   TAG   8 bytes, big-endian: SipHash-2-4 of the body with the run's key
//   BODY  {"host": RANK, "stamp": NS, "ranks": [[RANK, PROCESS, STEP, BUCKET, POSTED_NS, ALIVE_NS, WAITING_NS, PHASE,
//         WAIT], ...]}
// `host` is the number of the host's first rank, `stamp` is the sender's steady clock: a message that is not later
// than the one before is none. *_NS are ages when it was sent, because clocks of hosts differ; WAITING_NS is -1 when
// the rank does not wait.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/siphash.hpp"
#include "worker/posts.hpp"

namespace regatta {

inline constexpr std::size_t kReportHead = 12;
inline constexpr std::size_t kReportLimit = 1 << 20;  ///< a host of 4096 ranks has 0.5 MB

/// A rank as another host knows it. Times are this host's steady clock, nanoseconds.
struct FarPost {
  int rank = 0;
  std::int64_t pid = 0, step = 0;
  int bucket = -1;
  std::int64_t posted_at = 0, alive_at = 0;
  std::int64_t waiting_since = 0;  ///< 0: does not wait
  std::string phase, wait;
};

struct HostReport {
  int host = 0;  ///< its first rank
  std::int64_t stamp = 0;
  std::vector<FarPost> ranks;
};

HostReport report_of(const Post* posts, int count, int host, std::int64_t now);
/// The whole message.
std::string encode(const HostReport& report, const SipKey& key, std::int64_t now);
/// The size of the body that follows this head; nothing when no message is that long.
std::optional<std::size_t> body_size(std::string_view head);
/// Nothing unless the key's owner made it.
std::optional<HostReport> decode(std::string_view head, std::string_view body, const SipKey& key, std::int64_t now);

/// Another host of the run, and what it said last.
struct FarHost {
  std::string name;
  int first_rank = 0;
  std::int64_t heard_at = 0;  ///< our clock; before its first word, when we began to listen
  std::int64_t stamp = 0;     ///< its clock, of its last word
  std::vector<FarPost> ranks;
};

/// Longer than this without a word, and a host does not answer: three words are missing.
inline constexpr std::int64_t kHostSilent = 3'500'000'000;

/// Takes a report into the host's place; false for one that is stale or of nobody we know.
bool hear(std::span<FarHost> hosts, const HostReport& report, std::int64_t now);
/// "no word from host n3 for 11.0 s (rank 2: step 8, bucket 2, exchange)"; ranks of hosts that answer, which stand
/// still or wait for nobody while others wait for them. Empty when there are none.
std::string late_elsewhere(std::span<const FarHost> hosts, std::int64_t now);
/// Where the ranks elsewhere wait, for a wait that nobody seems to be late for: "rank 2 on n3: barrier at step 7".
std::string waiting_elsewhere(std::span<const FarHost> hosts);

}  // namespace regatta
