// Design note. The trainer thread writes its state into a post: a private one at first, one in node-shared memory after
// `share_posts`. The watchdog's thread only reads it. Of the ranks of a host that all wait for the same late one, the
// first by number speaks (rank 0 also has a journal to close); the others give it time to end the job, and speak as
// well when it does not. A wait that polls looks at the deadline itself and ends by an exception, in order; the thread
// gives it time to do so, too, and speaks when even its end hangs.

#include "worker/watchdog.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>

#include "worker/posts.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

namespace {

using namespace std::chrono_literals;

constexpr Duration kLook = 1s;
constexpr Duration kOthersMaySpeak = 4s;  // rank 0's last words and a launcher that ends the ranks of a host
constexpr Duration kPollerMayEnd = 10s;   // longer than that, and a GPU's communicator aborted

std::int64_t steady_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

struct Watchdog::Impl {
  OnExpiry on_expiry;
  std::atomic<std::int64_t> deadline_ns;
  const std::string host = host_name();

  Post own;                          // used until posts are shared, and again after
  std::atomic<Post*> mine = &own;    // trainer thread writes through it
  int waits_deep = 0;                // trainer thread only: a wait inside a wait is one
  std::atomic<bool> polling{false};  // the wait's kind

  std::mutex mutex;  // guards what follows, and keeps shared memory mapped while the thread reads it
  std::condition_variable wake;
  Post* posts = nullptr;  // by local rank
  int post_count = 0;
  bool one_host = true;  // no rank stands elsewhere
  bool ending = false;
  std::thread thread;

  void watch();
  Duration grace() const;
  bool expired(std::int64_t since, std::int64_t now) const;
  bool another_speaks() const;
  std::string message(std::int64_t since, std::int64_t now) const;
};

void Watchdog::Impl::watch() {
  std::unique_lock lock(mutex);
  while (!ending) {
    const Duration look = std::min(kLook, Duration(deadline_ns.load()) / 8);
    wake.wait_for(lock, std::max<Duration>(look, 1ms));
    const std::int64_t since = mine.load()->waiting_since, now = steady_now();
    mine.load()->alive_at = now;
    if (ending || !expired(since, now - grace().count())) continue;
    const std::string text = message(since, now);
    if (mine.load()->waiting_since != since) continue;  // it came while this thread was looking
    lock.unlock();
    on_expiry(text);
    return;
  }
}

/// By how much this thread is later than the deadline.
Duration Watchdog::Impl::grace() const {
  return polling ? kPollerMayEnd : Duration{};
}

bool Watchdog::Impl::expired(std::int64_t since, std::int64_t now) const {
  if (since == 0 || now - since <= deadline_ns) return false;
  return !another_speaks() || now - since > deadline_ns + kOthersMaySpeak.count();
}

/// A rank of this host with a smaller number waits for the same.
bool Watchdog::Impl::another_speaks() const {
  const Post* own_post = mine.load();
  return posts != nullptr && std::any_of(posts, posts + post_count, [&](const Post& post) {
           return &post < own_post && post.waits >= own_post->waits && post.waiting_since != 0;
         });
}

std::string Watchdog::Impl::message(std::int64_t since, std::int64_t now) const {
  const Post& post = *mine.load();
  const std::string late = posts == nullptr ? std::string() : late_ranks(posts, post_count, post, host, now);
  const std::string in = post.bucket >= 0 ? fmt::format(", bucket {}", post.bucket.load()) : "";
  const double limit_s = static_cast<double>(deadline_ns) / 1e9;
  const double waited_s = static_cast<double>(now - since) / 1e9;
  return fmt::format(
      "rank {} on {} waited {:.1f} s in {} at step {}{} ({}), longer than the deadline of {:.1f} s\n"
      "  {}\n"
      "  If the ranks are only slow, raise train.deadline.",
      post.rank.load(), host, waited_s, post.wait.text(), post.step.load(), in, post.phase.text(), limit_s,
      !late.empty() ? "Not arrived: " + late
      : one_host    ? fmt::format("Every rank has arrived and runs: {} does not finish; look at the ranks' logs.",
                               polling ? "the devices' exchange" : "MPI itself")
                    : "Every rank of this host has arrived: look at the logs of the other hosts.");
}

Watchdog::Watchdog(Duration deadline, OnExpiry on_expiry) : impl_(std::make_unique<Impl>()) {
  impl_->on_expiry = std::move(on_expiry);
  impl_->deadline_ns = deadline.count();
  impl_->own.pid = ::getpid();
  impl_->own.phase.set("start");
  impl_->own.posted_at = steady_now();
  impl_->thread = std::thread([impl = impl_.get()] { impl->watch(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->wake.notify_one();
  impl_->thread.join();
}

void Watchdog::share_posts(RankContext& ranks) {
  impl_->own.rank = ranks.rank();
  if (ranks.local_size() == 1) return;
  const auto count = static_cast<std::size_t>(ranks.local_size());
  auto* posts = reinterpret_cast<Post*>(ranks.node_shared(count * sizeof(Post)));
  Post& mine = *new (posts + ranks.local_rank()) Post;  // each rank makes its own; the memory comes with anything in it
  mine.pid = impl_->own.pid.load();
  mine.rank = ranks.rank();
  mine.copy_state(impl_->own);
  mine.alive_at = steady_now();
  ranks.node_barrier();  // from here on every post is filled
  mine.waits = impl_->own.waits.load();
  const std::lock_guard lock(impl_->mutex);
  impl_->posts = posts;
  impl_->post_count = ranks.local_size();
  impl_->one_host = ranks.local_size() == ranks.world_size();
  impl_->mine = &mine;
}

void Watchdog::unshare_posts() {
  const std::lock_guard lock(impl_->mutex);
  impl_->own.copy_state(*impl_->mine.load());
  impl_->mine = &impl_->own;
  impl_->posts = nullptr;
  impl_->post_count = 0;
}

void Watchdog::set_deadline(Duration deadline) {
  impl_->deadline_ns = deadline.count();
  impl_->wake.notify_one();
}

Duration Watchdog::deadline() const {
  return Duration(impl_->deadline_ns.load());
}

void Watchdog::post(std::int64_t step, int bucket, const char* phase) {
  Post& mine = *impl_->mine.load(std::memory_order_relaxed);
  mine.step = step;
  mine.bucket = bucket;
  mine.phase.set(phase);
  mine.posted_at = steady_now();
}

void Watchdog::wait_begin(const char* what, WaitKind kind) {
  if (impl_->waits_deep++ > 0) return;
  impl_->polling = kind == WaitKind::kPolling;
  Post& mine = *impl_->mine.load(std::memory_order_relaxed);
  mine.wait.set(what);
  mine.waits.fetch_add(1);
  mine.waiting_since = steady_now();
}

void Watchdog::wait_end() {
  if (--impl_->waits_deep > 0) return;
  impl_->mine.load(std::memory_order_relaxed)->waiting_since = 0;
}

std::optional<std::string> Watchdog::overdue() {
  const std::int64_t since = impl_->mine.load()->waiting_since, now = steady_now();
  if (since == 0 || now - since <= impl_->deadline_ns) return {};
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->expired(since, now)) return {};
  return impl_->message(since, now);
}

}  // namespace regatta
