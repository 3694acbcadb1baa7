#include "worker/posts.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace regatta {

namespace {

bool stands_still(const Post& post, std::int64_t now) {
  return post.alive_at > 0 && now - post.alive_at > kStandsStill;
}

std::string describe_post(const Post& post, const std::string& host, std::int64_t now) {
  const std::int64_t pid = post.pid;
  const bool gone = pid > 0 && ::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH;
  std::string condition = gone ? ", gone" : "";
  if (!gone && stands_still(post, now))
    condition = fmt::format(", stopped for {:.1f} s", static_cast<double>(now - post.alive_at) / 1e9);
  return fmt::format("rank {} on {} (process {}{}): {}", post.rank.load(), host, pid, condition, post.state(now));
}

}  // namespace

void PostedName::set(const char* text) {
  std::array<std::uint64_t, 3> words{};
  std::memcpy(words.data(), text, std::min(std::strlen(text), sizeof words));
  for (std::size_t i = 0; i < words.size(); ++i) words_[i].store(words[i], std::memory_order_relaxed);
}

std::string PostedName::text() const {
  std::array<std::uint64_t, 3> words{};
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = words_[i].load(std::memory_order_relaxed);
  char text[sizeof words + 1] = "";
  std::memcpy(text, words.data(), sizeof words);
  return text;
}

void Post::copy_state(const Post& from) {
  step = from.step.load();
  bucket = from.bucket.load();
  posted_at = from.posted_at.load();
  waits = from.waits.load();
  waiting_since = from.waiting_since.load();
  phase.set(from.phase.text().c_str());
  wait.set(from.wait.text().c_str());
}

std::string Post::state(std::int64_t now) const {
  const std::string in = bucket >= 0 ? fmt::format(", bucket {}", bucket.load()) : "";
  const double for_s = posted_at > 0 ? static_cast<double>(now - posted_at) / 1e9 : 0;
  return fmt::format("step {}{}, {}, for {:.1f} s", step.load(), in, phase.text(), for_s);
}

std::string late_ranks(const Post* posts, int count, const Post& mine, const std::string& host, std::int64_t now) {
  std::string late;
  for (int i = 0; i < count; ++i) {
    if (posts[i].waits >= mine.waits && !stands_still(posts[i], now)) continue;
    late += (late.empty() ? "" : "; ") + describe_post(posts[i], host, now);
  }
  return late;
}

}  // namespace regatta
