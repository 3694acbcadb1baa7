// Waits for a count, in each of their three ways, and with many waiters at once.

#include "worker/shared_count.hpp"

#include <gmock/gmock.h>
#include <time.h>

#include <thread>
#include <vector>

namespace regatta {
namespace {

using namespace std::chrono_literals;

constexpr WaitPolicy kSpin{10s, 0s}, kYield{0s, 10s}, kSleep{0s, 0s};

double thread_cpu_s() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

TEST(SharedCount, AWaitThatIsOverTakesNoTime) {
  SharedCount count;
  raise_to(count, 5);
  EXPECT_EQ(wait_until(count, 5, kSleep), Duration{});
  EXPECT_EQ(wait_until(count, 3, kSleep), Duration{});
}

TEST(SharedCount, WakesWhoeverSpinsYieldsOrSleeps) {
  for (const WaitPolicy& policy : {kSpin, kYield, kSleep}) {
    SharedCount count;
    std::thread raiser([&] {
      std::this_thread::sleep_for(300ms);
      raise_to(count, 1);
    });
    EXPECT_GE(wait_until(count, 1, policy), 200ms);
    raiser.join();
  }
}

TEST(SharedCount, ASleeperUsesNoProcessor) {
  SharedCount count;
  std::thread raiser([&] {
    std::this_thread::sleep_for(500ms);
    raise_to(count, 1);
  });
  const double before = thread_cpu_s();
  wait_until(count, 1, wait_policy(1, 1));
  EXPECT_LT(thread_cpu_s() - before, 0.25);
  raiser.join();
}

TEST(SharedCount, CountsWrapAround) {
  SharedCount count;
  raise_to(count, 0xffff'fffe);
  EXPECT_TRUE(has_reached(count, 0xffff'fffe));
  EXPECT_FALSE(has_reached(count, 1));
  raise_to(count, 1);
  EXPECT_TRUE(has_reached(count, 0xffff'ffff));
  EXPECT_EQ(wait_until(count, 1, kSleep), Duration{});
}

TEST(SharedCount, NobodyMissesARaise) {
  constexpr std::uint32_t kTurns = 20'000;
  constexpr int kThreads = 3;
  std::vector<SharedCount> counts(kThreads);
  std::vector<std::thread> threads;
  for (int self = 0; self < kThreads; ++self)
    threads.emplace_back([&, self] {
      for (std::uint32_t turn = 1; turn <= kTurns; ++turn) {
        raise_to(counts[static_cast<std::size_t>(self)], turn);
        for (SharedCount& count : counts) wait_until(count, turn, turn % 2 == 0 ? kSleep : WaitPolicy{1us, 1us});
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const SharedCount& count : counts) EXPECT_EQ(count.value, kTurns);
}

TEST(WaitPolicy, NobodySpinsWhereRanksOutnumberCores) {
  EXPECT_EQ(wait_policy(4, 2).spin, Duration{});
  EXPECT_GT(wait_policy(2, 2).spin, Duration{});
}

}  // namespace
}  // namespace regatta
