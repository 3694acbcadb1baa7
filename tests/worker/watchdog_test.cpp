#include "worker/watchdog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <mutex>
#include <vector>

#include "common/error.hpp"
#include "tests/support/process.hpp"
#include "worker/posts.hpp"
#include "worker/rank_context.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// Two ranks of one host in one process: the same memory, nothing waits.
class PairContext final : public RankContext {
 public:
  PairContext(int rank, std::vector<std::uint64_t>& memory) : rank_(rank), memory_(memory) {}
  int rank() const override { return rank_; }
  int world_size() const override { return 2; }
  int local_rank() const override { return rank_; }
  int local_size() const override { return 2; }
  void barrier() override {}
  void node_barrier() override {}
  void allreduce(std::span<double>, Reduce) override {}
  std::string broadcast(std::string text) override { return text; }
  std::vector<std::string> gather(std::string text) override { return {text}; }
  std::byte* node_shared(std::size_t bytes) override {
    EXPECT_LE(bytes, memory_.size() * 8);
    return reinterpret_cast<std::byte*>(memory_.data());
  }
  void abandon() override {}

 private:
  int rank_;
  std::vector<std::uint64_t>& memory_;
};

/// What a watchdog said; readable from the test's thread.
class Heard {
 public:
  Watchdog::OnExpiry listener() {
    return [this](const std::string& message) {
      const std::lock_guard lock(mutex_);
      messages_.push_back(message);
    };
  }
  std::vector<std::string> messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }
  bool something() const { return !messages().empty(); }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
};

TEST(Watchdog, NamesWhoIsLateWhereAndForHowLong) {
  std::vector<std::uint64_t> memory(4096, ~std::uint64_t{0});  // shared memory comes with anything in it
  PairContext first(0, memory), second(1, memory);
  Heard heard, other;
  Watchdog waiting(300ms, heard.listener()), late(300ms, other.listener());
  waiting.share_posts(first);
  late.share_posts(second);
  late.post(7, 3, "compute");
  waiting.post(8, 2, "exchange");
  const WatchedWait wait(waiting, "sum of gradients");
  ASSERT_TRUE(test::wait_until([&] { return heard.something(); }));
  EXPECT_THAT(
      heard.messages().at(0),
      AllOf(HasSubstr("rank 0 on " + host_name() + " waited "), HasSubstr("in sum of gradients at step 8, bucket 2"),
            HasSubstr("deadline of 0.3 s"), HasSubstr("Not arrived: rank 1 on " + host_name()),
            HasSubstr("step 7, bucket 3, compute, for "), HasSubstr("train.deadline")));
  EXPECT_FALSE(other.something()) << "the late rank itself does not wait";
  waiting.unshare_posts();
  late.unshare_posts();
}

TEST(Watchdog, BlamesNobodyWhoHasArrived) {
  std::vector<std::uint64_t> memory(4096, ~std::uint64_t{0});  // shared memory comes with anything in it
  PairContext first(0, memory), second(1, memory);
  Heard heard, other;
  Watchdog waiting(300ms, heard.listener()), arrived(1h, other.listener());
  waiting.share_posts(first);
  arrived.share_posts(second);
  const WatchedWait theirs(arrived, "barrier");
  const WatchedWait ours(waiting, "barrier");
  ASSERT_TRUE(test::wait_until([&] { return heard.something(); }));
  EXPECT_THAT(heard.messages().at(0), AllOf(HasSubstr("Every rank has arrived"), Not(HasSubstr("rank 1"))));
  waiting.unshare_posts();
  arrived.unshare_posts();
}

TEST(Posts, NameARankThatCameAndStandsStill) {
  constexpr std::int64_t kSecond = 1'000'000'000, kNow = 100 * kSecond;
  std::array<Post, 3> posts;
  for (int i = 0; i < 3; ++i) {
    posts[i].rank = i;
    posts[i].waits = 5;
    posts[i].alive_at = kNow - kSecond;
  }
  EXPECT_EQ(late_ranks(posts.data(), 3, posts[0], "n1", kNow), "");
  posts[1].alive_at = kNow - 4 * kSecond;
  EXPECT_THAT(late_ranks(posts.data(), 3, posts[0], "n1", kNow),
              AllOf(HasSubstr("rank 1 on n1"), HasSubstr("stopped for 4.0 s"), Not(HasSubstr("rank 2"))));
}

TEST(Watchdog, OfTheWaitingTheFirstByNumberSpeaks) {
  std::vector<std::uint64_t> memory(4096, ~std::uint64_t{0});  // shared memory comes with anything in it
  PairContext first(0, memory), second(1, memory);
  Heard by_first, by_second;
  Watchdog one(200ms, by_first.listener()), two(200ms, by_second.listener());
  one.share_posts(first);
  two.share_posts(second);
  const WatchedWait earlier(two, "barrier"), later(one, "barrier");
  ASSERT_TRUE(test::wait_until([&] { return by_first.something(); }));
  EXPECT_FALSE(by_second.something()) << "it gives the other time to end the job";
  EXPECT_TRUE(test::wait_until([&] { return by_second.something(); })) << "and speaks when nothing happens";
  one.unshare_posts();
  two.unshare_posts();
}

TEST(Watchdog, LeavesAWaitThatPollsToItsWaiter) {
  std::vector<std::uint64_t> memory(4096, ~std::uint64_t{0});  // shared memory comes with anything in it
  PairContext first(0, memory), second(1, memory);
  Heard heard, other;
  Watchdog one(200ms, heard.listener()), two(200ms, other.listener());
  one.share_posts(first);
  two.share_posts(second);
  EXPECT_FALSE(one.overdue()) << "nothing waits";
  {
    one.post(3, 1, "exchange");
    const WatchedWait ours(one, "sum of gradients", WaitKind::kPolling);
    const WatchedWait theirs(two, "sum of gradients", WaitKind::kPolling);
    EXPECT_FALSE(one.overdue());
    std::optional<std::string> message;
    ASSERT_TRUE(test::wait_until([&] { return (message = one.overdue()).has_value(); }));
    EXPECT_THAT(*message,
                AllOf(HasSubstr("waited 0."), HasSubstr("in sum of gradients at step 3, bucket 1 (exchange)"),
                      HasSubstr("deadline of 0.2 s"), HasSubstr("Every rank has arrived"), Not(HasSubstr("MPI"))));
    EXPECT_FALSE(two.overdue()) << "the first by number speaks";
    EXPECT_FALSE(heard.something() || other.something()) << "the threads leave it to those who wait";
  }
  EXPECT_FALSE(one.overdue());
  one.unshare_posts();
  two.unshare_posts();
}

TEST(Watchdog, IsSilentWhileNothingWaits) {
  Heard idle, busy;
  Watchdog quiet(200ms, idle.listener()), loud(200ms, busy.listener());
  for (int i = 0; i < 100; ++i) const WatchedWait wait(quiet, "short");
  const WatchedWait wait(loud, "long");
  ASSERT_TRUE(test::wait_until([&] { return busy.something(); }));
  EXPECT_FALSE(idle.something());
}

TEST(Watchdog, FollowsANewDeadlineAndCountsAWaitWithinAWaitOnce) {
  Heard heard;
  Watchdog watchdog(1h, heard.listener());
  const WatchedWait outer(watchdog, "outer");
  { const WatchedWait inner(watchdog, "inner"); }
  watchdog.set_deadline(200ms);
  EXPECT_EQ(watchdog.deadline(), 200ms);
  ASSERT_TRUE(test::wait_until([&] { return heard.something(); }));
  EXPECT_THAT(heard.messages().at(0), HasSubstr("in outer"));
}

}  // namespace
}  // namespace regatta
