#include "worker/host_posts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/printable.hpp"

namespace regatta {

namespace {

constexpr std::size_t kMostNamed = 8;  // the log of a host has the others

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

std::string big_endian(std::uint64_t value, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = bytes; i-- > 0; value >>= 8) text[i] = static_cast<char>(value & 0xff);
  return text;
}

Json to_json(const FarPost& post, std::int64_t now) {
  return {post.rank,
          post.pid,
          post.step,
          post.bucket,
          now - post.posted_at,
          now - post.alive_at,
          post.waiting_since == 0 ? -1 : std::max<std::int64_t>(now - post.waiting_since, 0),
          post.phase,
          post.wait};
}

FarPost far_post_from(const Json& json, std::int64_t now) {
  constexpr std::size_t kFields = 9;
  if (!json.is_array() || json.size() != kFields) throw IoError("a rank's post: expected 9 fields");
  const auto age = [&](std::size_t field) {
    const auto ns = json_as<std::int64_t>(json[field], "an age");
    return std::clamp<std::int64_t>(ns, 0, now - 1);
  };
  FarPost post{.rank = json_as<int>(json[0], "a rank"),
               .pid = json_as<std::int64_t>(json[1], "a process"),
               .step = json_as<std::int64_t>(json[2], "a step"),
               .bucket = json_as<int>(json[3], "a bucket"),
               .posted_at = now - age(4),
               .alive_at = now - age(5),
               .phase = printable(json_as<std::string>(json[7], "a phase")),
               .wait = printable(json_as<std::string>(json[8], "a wait"))};
  if (json_as<std::int64_t>(json[6], "an age") >= 0) post.waiting_since = now - age(6);
  return post;
}

double seconds_since(std::int64_t then, std::int64_t now) {
  return static_cast<double>(now - then) / 1e9;
}

std::string place_words(const FarPost& post) {
  return fmt::format("step {}{}, {}", post.step, post.bucket >= 0 ? fmt::format(", bucket {}", post.bucket) : "",
                     post.phase);
}

std::string silent_words(const FarHost& host, std::int64_t now) {
  std::string ranks;
  for (std::size_t i = 0; i < std::min(host.ranks.size(), kMostNamed); ++i)
    ranks += fmt::format("{}rank {}: {}", i == 0 ? "" : "; ", host.ranks[i].rank, place_words(host.ranks[i]));
  if (host.ranks.size() > kMostNamed) ranks += "; ...";
  return fmt::format(
      "no word from host {} for {:.0f} s ({})", host.name, seconds_since(host.heard_at, now),
      ranks.empty() ? fmt::format("rank {}; never any, which a firewall does, too", host.first_rank) : ranks);
}

}  // namespace

HostReport report_of(const Post* posts, int count, int host, std::int64_t now) {
  HostReport report{.host = host, .stamp = now};
  for (const Post* post = posts; post != posts + count; ++post)
    report.ranks.push_back({.rank = post->rank,
                            .pid = post->pid,
                            .step = post->step,
                            .bucket = post->bucket,
                            .posted_at = post->posted_at,
                            .alive_at = post->alive_at,
                            .waiting_since = post->waiting_since,
                            .phase = post->phase.text(),
                            .wait = post->wait.text()});
  return report;
}

std::string encode(const HostReport& report, const SipKey& key, std::int64_t now) {
  Json ranks = Json::array();
  for (const FarPost& post : report.ranks) ranks.push_back(to_json(post, now));
  const std::string body = Json{{"host", report.host}, {"stamp", report.stamp}, {"ranks", ranks}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
  return big_endian(body.size(), 4) + big_endian(siphash(key, body), 8) + body;
}

std::optional<std::size_t> body_size(std::string_view head) {
  const std::uint64_t size = big_endian(head.substr(0, 4));
  if (head.size() != kReportHead || size == 0 || size > kReportLimit) return {};
  return size;
}

std::optional<HostReport> decode(std::string_view head, std::string_view body, const SipKey& key, std::int64_t now) {
  if (big_endian(head.substr(4)) != siphash(key, body)) return {};
  try {
    const Json json = parse_json(body, "a host's report");
    HostReport report{.host = json_get<int>(json, "host"), .stamp = json_get<std::int64_t>(json, "stamp")};
    for (const Json& post : json_at(json, "ranks")) report.ranks.push_back(far_post_from(post, now));
    return report;
  } catch (const Error&) {  // of another version, perhaps
    return {};
  }
}

bool hear(std::span<FarHost> hosts, const HostReport& report, std::int64_t now) {
  const auto host =
      std::find_if(hosts.begin(), hosts.end(), [&](const FarHost& known) { return known.first_rank == report.host; });
  if (host == hosts.end() || report.stamp <= host->stamp) return false;
  host->stamp = report.stamp;
  host->heard_at = now;
  host->ranks = report.ranks;
  return true;
}

std::string late_elsewhere(std::span<const FarHost> hosts, std::int64_t now) {
  std::vector<std::string> late;
  for (const FarHost& host : hosts) {
    if (now - host.heard_at > kHostSilent) {
      late.push_back(silent_words(host, now));
      continue;
    }
    for (const FarPost& post : host.ranks) {
      const bool still = post.alive_at > 0 && host.heard_at - post.alive_at > kStandsStill;
      if (post.waiting_since != 0 && !still) continue;
      late.push_back(fmt::format("rank {} on {} (process {}{}): {}, for {:.1f} s", post.rank, host.name, post.pid,
                                 still ? fmt::format(", stopped for {:.1f} s", seconds_since(post.alive_at, now)) : "",
                                 place_words(post), seconds_since(post.posted_at, now)));
    }
  }
  if (late.size() > kMostNamed) {
    late.resize(kMostNamed);
    late.emplace_back("...");
  }
  return fmt::format("{}", fmt::join(late, "; "));
}

std::string waiting_elsewhere(std::span<const FarHost> hosts) {
  std::vector<std::string> waiting;
  for (const FarHost& host : hosts)
    for (const FarPost& post : host.ranks)
      if (waiting.size() < kMostNamed)
        waiting.push_back(fmt::format("rank {} on {}: {} at {}", post.rank, host.name, post.wait, place_words(post)));
  return fmt::format("{}", fmt::join(waiting, "; "));
}

}  // namespace regatta
