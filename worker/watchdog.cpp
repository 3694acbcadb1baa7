// Design note. The trainer thread writes its state into a post: a private one at first, one in node-shared memory after
// `share_posts`. The watchdog's thread only reads it. Of the ranks of a host that all wait for the same late one, the
// first by number speaks (rank 0 also has a journal to close); the others give it time to end the job, and speak as
// well when it does not. Between hosts it is rank 0 that speaks, as long as it answers and waits, too. Waits are
// counted within a host only: what ranks of other hosts wait for differs (a lane has its own), so there a rank is late
// that does not wait at all. A wait that polls looks at the deadline itself and ends by an exception, in order; the
// thread gives it time to do so, too, and speaks when even its end hangs.

#include "worker/watchdog.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include "common/error.hpp"
#include "common/json.hpp"
#include "worker/post_link.hpp"
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
  std::string host;

  Post own;                          // used until posts are shared, and again after
  std::atomic<Post*> mine = &own;    // trainer thread writes through it
  int waits_deep = 0;                // trainer thread only: a wait inside a wait is one
  std::atomic<bool> polling{false};  // the wait's kind

  std::mutex mutex;  // guards what follows, and keeps shared memory mapped while the thread reads it
  std::condition_variable wake;
  Post* posts = nullptr;  // by local rank
  int post_count = 0;
  std::atomic<bool> one_host{true};  // no rank stands elsewhere
  std::unique_ptr<PostLink> link;    // of several hosts
  bool ending = false;
  std::thread thread;

  void watch();
  Duration grace() const;
  bool expired(std::int64_t since, std::int64_t now) const;
  bool another_speaks() const;
  bool rank_zero_speaks(std::int64_t now) const;
  bool speaks_for_host() const;
  void share_memory(RankContext& ranks);
  std::string link_hosts(RankContext& ranks);
  void end_link();
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
  return (!another_speaks() && !rank_zero_speaks(now)) || now - since > deadline_ns + kOthersMaySpeak.count();
}

/// A rank of this host with a smaller number waits for the same.
bool Watchdog::Impl::another_speaks() const {
  const Post* own_post = mine.load();
  return posts != nullptr && std::any_of(posts, posts + post_count, [&](const Post& post) {
           return &post < own_post && post.waits >= own_post->waits && post.waiting_since != 0;
         });
}

/// On another host, which answers: it has the journal to close.
bool Watchdog::Impl::rank_zero_speaks(std::int64_t now) const {
  if (link == nullptr || mine.load()->rank == 0) return false;
  const std::vector<FarHost> hosts = link->hosts();
  if (hosts.empty() || hosts.front().first_rank != 0 || hosts.front().ranks.empty()) return false;
  const FarPost& zero = hosts.front().ranks.front();
  return now - hosts.front().heard_at <= kHostSilent && zero.waiting_since != 0;
}

/// The first rank of this host whose watchdog gives signs. On the link's thread; posts outlive the link.
bool Watchdog::Impl::speaks_for_host() const {
  const std::int64_t now = steady_now();
  const Post* const own_post = mine.load();
  return posts == nullptr || std::none_of(posts, posts + post_count, [&](const Post& post) {
           return &post < own_post && now - post.alive_at <= kStandsStill;
         });
}

/// Collective. The link is there afterwards, or why not is returned.
std::string Watchdog::Impl::link_hosts(RankContext& ranks) {
  const Post* const first = posts == nullptr ? &own : posts;
  const int count = posts == nullptr ? 1 : post_count, first_rank = first->rank;
  const PostLink::Report report = [first, count, first_rank] {
    return report_of(first, count, first_rank, steady_now());
  };
  const auto texts = ranks.gather(Json{{"name", host}, {"first_rank", first_rank}}.dump());
  PostLinkPlan plan;
  for (const auto& text : texts) {
    const Json site = parse_json(text, "a rank's host");
    const auto known = json_get<int>(site, "first_rank");
    if (std::none_of(plan.hosts.begin(), plan.hosts.end(), [&](const auto& one) { return one.first_rank == known; }))
      plan.hosts.push_back({.name = json_get<std::string>(site, "name"), .first_rank = known});
  }
  std::string trouble;
  std::unique_ptr<PostLink> made;
  const auto attempt = [&](const auto& make) {
    try {
      made = make();
    } catch (const std::exception& error) {  // no thread or descriptor to be had: a run goes on without the link
      trouble = error.what();
    }
  };
  if (ranks.rank() == 0) attempt([&] { return PostLink::listen(plan, report); });
  if (!trouble.empty()) plan.port = 0;
  plan = post_link_plan_from(ranks.broadcast(encode(plan)));
  if (plan.port != 0 && first_rank != 0)
    attempt([&] { return PostLink::to_rank_zero(plan, report, [this] { return speaks_for_host(); }); });
  const std::lock_guard lock(mutex);
  link = std::move(made);
  return trouble;
}

std::string Watchdog::Impl::message(std::int64_t since, std::int64_t now) const {
  const Post& post = *mine.load();
  const std::vector<FarHost> elsewhere = link ? link->hosts() : std::vector<FarHost>();
  std::string late = posts == nullptr ? std::string() : late_ranks(posts, post_count, post, host, now);
  if (const std::string far = late_elsewhere(elsewhere, now); !far.empty()) late += (late.empty() ? "" : "; ") + far;
  const std::string others = waiting_elsewhere(elsewhere);
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
      : post.rank == 0 && link
          ? "Every rank waits, and MPI itself does not finish; look at the ranks' logs. Elsewhere: " + others
          : "Every rank of this host has arrived: look at the logs of the other hosts." +
                (others.empty() ? "" : " On rank 0's: " + others));
}

Watchdog::Watchdog(Duration deadline, OnExpiry on_expiry, std::string host) : impl_(std::make_unique<Impl>()) {
  impl_->host = std::move(host);
  impl_->on_expiry = std::move(on_expiry);
  impl_->deadline_ns = deadline.count();
  impl_->own.pid = ::getpid();
  impl_->own.phase.set("start");
  impl_->own.posted_at = impl_->own.alive_at = steady_now();
  impl_->thread = std::thread([impl = impl_.get()] { impl->watch(); });
}

Watchdog::~Watchdog() {
  impl_->end_link();
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->wake.notify_one();
  impl_->thread.join();
}

std::string Watchdog::share_posts(RankContext& ranks) {
  impl_->own.rank = ranks.rank();
  if (ranks.local_size() > 1) impl_->share_memory(ranks);
  impl_->one_host = ranks.local_size() == ranks.world_size();
  return impl_->one_host ? "" : impl_->link_hosts(ranks);
}

void Watchdog::Impl::share_memory(RankContext& ranks) {
  const auto count = static_cast<std::size_t>(ranks.local_size());
  auto* shared = reinterpret_cast<Post*>(ranks.node_shared(count * sizeof(Post)));
  Post& post = *new (shared + ranks.local_rank()) Post;  // each makes its own; the memory comes with anything in it
  post.pid = own.pid.load();
  post.rank = ranks.rank();
  post.copy_state(own);
  post.alive_at = steady_now();
  ranks.node_barrier();  // from here on every post is filled
  post.waits = own.waits.load();
  const std::lock_guard lock(mutex);
  posts = shared;
  post_count = ranks.local_size();
  mine = &post;
}

/// Its thread reads posts, which lie in memory that goes.
void Watchdog::Impl::end_link() {
  std::unique_ptr<PostLink> ended;
  const std::lock_guard lock(mutex);
  ended.swap(link);
}

void Watchdog::unshare_posts() {
  impl_->end_link();
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
