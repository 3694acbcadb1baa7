// Every promise of the cache, seen from outside: contents, addresses, figures, and mincore for what the kernel has.

#include "worker/block_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace regatta {
namespace {

constexpr std::size_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;
constexpr std::size_t kPage = 4 * kKiB;

struct BlockCacheTest : testing::Test {
  BlockCache cache{kGiB, /*slack=*/8 * kMiB};

  /// Takes a block and touches all of it.
  std::byte* take(std::size_t bytes, int fill = 1) {
    auto* data = static_cast<std::byte*>(cache.take(bytes));
    EXPECT_NE(data, nullptr);
    if (data != nullptr) std::memset(data, fill, bytes);
    return data;
  }
};

/// Pages of [data, data + bytes) that lie in memory.
std::size_t resident_pages(const std::byte* data, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data) / kPage * kPage;
  std::vector<unsigned char> pages((reinterpret_cast<std::uintptr_t>(data) + bytes - begin + kPage - 1) / kPage);
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(begin), pages.size() * kPage, pages.data()), 0);
  std::size_t count = 0;
  for (const unsigned char page : pages) count += page & 1U;
  return count;
}

TEST_F(BlockCacheTest, LeavesSmallBlocksToOthers) {
  EXPECT_EQ(cache.take(0), nullptr);
  EXPECT_EQ(cache.take(BlockCache::kLeast - 1), nullptr);
  EXPECT_EQ(cache.figures().blocks_made, 0);
  EXPECT_NE(cache.take(BlockCache::kLeast), nullptr);
  EXPECT_EQ(cache.figures().blocks_made, 1);
}

TEST_F(BlockCacheTest, BlocksAreAlignedAndDoNotOverlap) {
  std::mt19937_64 random(1);
  std::vector<std::pair<std::byte*, std::size_t>> blocks;
  for (int i = 0; i < 100; ++i) {
    const std::size_t bytes = BlockCache::kLeast + random() % (300 * kKiB);
    blocks.emplace_back(take(bytes, i), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(blocks.back().first) % BlockCache::kAlignment, 0U);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto [data, bytes] = blocks[i];
    EXPECT_TRUE(cache.owns(data));
    for (const std::size_t at : {std::size_t{0}, bytes / 2, bytes - 1})
      EXPECT_EQ(data[at], static_cast<std::byte>(i)) << "block " << i << ", byte " << at;
  }
}

TEST_F(BlockCacheTest, GivesTheBlockOfThatSizeWhichCameBackLast) {
  std::byte* a = take(kMiB);
  std::byte* b = take(kMiB);
  std::byte* other = take(2 * kMiB);
  cache.give_back(a);
  cache.give_back(b);
  cache.give_back(other);
  EXPECT_EQ(cache.take(kMiB), b);
  EXPECT_EQ(cache.take(kMiB), a);
  EXPECT_EQ(cache.take(2 * kMiB), other);
  EXPECT_EQ(cache.figures().blocks_made, 3);
  EXPECT_EQ(cache.figures().blocks_reused, 3);
}

TEST_F(BlockCacheTest, NeverGivesALargerBlockForASmallerOne) {
  cache.give_back(take(2 * kMiB));
  take(kMiB);
  EXPECT_EQ(cache.figures().blocks_reused, 0);
  // The same whole pages are the same size: a header of 64 bytes and the caller's.
  cache.give_back(take(3 * kMiB - 64));
  take(3 * kMiB - 64 - kPage + 1);
  EXPECT_EQ(cache.figures().blocks_reused, 1);
}

TEST_F(BlockCacheTest, CountsWhatIsInUseAndWhatIsHeld) {
  const std::size_t size = kMiB + kPage;  // with its header
  std::byte* a = take(kMiB);
  std::byte* b = take(kMiB);
  cache.give_back(a);
  cache.give_back(b);
  take(kMiB);
  const record::Memory figures = cache.figures();
  EXPECT_EQ(figures.peak_bytes, static_cast<std::int64_t>(2 * size));
  EXPECT_EQ(figures.held_bytes, static_cast<std::int64_t>(2 * size));
  EXPECT_EQ(figures.blocks_made, 2);
  EXPECT_EQ(figures.blocks_reused, 1);
  EXPECT_EQ(figures.returned_bytes, 0);
}

TEST_F(BlockCacheTest, IdleMemoryPastTheSlackGoesBackOldestFirst) {
  std::vector<std::byte*> blocks;
  for (std::size_t i = 0; i < 4; ++i) blocks.push_back(take(2 * kMiB + i * kPage));
  for (std::byte* data : blocks) cache.give_back(data);
  // The peak is 8 MiB and a little, so 16 MiB and that little may be held: three of 3 MiB more are one too many.
  take(3 * kMiB);
  cache.give_back(take(3 * kMiB + kPage));
  EXPECT_EQ(cache.figures().returned_bytes, 0);
  EXPECT_GT(resident_pages(blocks[0], 2 * kMiB), 500U);
  take(3 * kMiB + 2 * kPage);
  EXPECT_EQ(cache.figures().returned_bytes, static_cast<std::int64_t>(2 * kMiB)) << "all pages but the header's";
  EXPECT_EQ(resident_pages(blocks[0], 2 * kMiB), 1U) << "the oldest, but for its header";
  EXPECT_GT(resident_pages(blocks[1], 2 * kMiB), 500U);
  // Its address is used again, and its memory is made again.
  const std::int64_t made = cache.figures().blocks_made;
  EXPECT_EQ(take(2 * kMiB), blocks[0]);
  EXPECT_EQ(cache.figures().blocks_made, made + 1);
}

TEST_F(BlockCacheTest, IdleMemoryGoesBackWhenAsked) {
  std::byte* idle = take(kMiB);
  std::byte* used = take(kMiB);
  cache.give_back(idle);
  cache.return_idle();
  cache.return_idle();
  EXPECT_EQ(cache.figures().returned_bytes, static_cast<std::int64_t>(kMiB));
  EXPECT_EQ(cache.figures().held_bytes, static_cast<std::int64_t>(kMiB + 2 * kPage));
  EXPECT_EQ(resident_pages(idle, kMiB), 1U);
  EXPECT_GT(resident_pages(used, kMiB), 250U);
  EXPECT_EQ(take(kMiB), idle);
  EXPECT_EQ(cache.figures().held_bytes, static_cast<std::int64_t>(2 * (kMiB + kPage)));
}

TEST_F(BlockCacheTest, NeverHoldsMoreThanItsBoundWhateverIsAsked) {
  std::mt19937_64 random(7);
  std::deque<std::byte*> live;
  std::int64_t returned = 0;
  for (int i = 0; i < 4'000; ++i) {
    if (live.size() < 12 && random() % 5 < 3) {
      live.push_back(static_cast<std::byte*>(cache.take(BlockCache::kLeast + random() % 32 * 64 * kKiB)));
      ASSERT_NE(live.back(), nullptr);
    } else if (!live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      cache.give_back(live.back());
      live.pop_back();
    }
    const record::Memory figures = cache.figures();
    ASSERT_LE(figures.held_bytes,
              figures.peak_bytes + std::max(figures.peak_bytes, static_cast<std::int64_t>(8 * kMiB)));
    returned = figures.returned_bytes;
  }
  EXPECT_GT(returned, 0) << "the bound was never met";
}

TEST(BlockCache, TwiceThePeakIsTheBoundWhereThatIsMore) {
  BlockCache cache(kGiB, /*slack=*/0);
  std::vector<void*> blocks;
  for (int i = 0; i < 16; ++i) blocks.push_back(cache.take(kMiB - 64));
  for (void* data : blocks) cache.give_back(data);
  for (std::size_t i = 1; i <= 15; ++i) cache.give_back(cache.take(kMiB - 64 + i * kPage));
  EXPECT_EQ(cache.figures().returned_bytes, 0);
  cache.take(kMiB - 64 + 16 * kPage);  // 32 MiB and 136 pages
  EXPECT_EQ(cache.figures().returned_bytes, static_cast<std::int64_t>(kMiB - kPage));
}

TEST(BlockCache, AddressesThatRunOutAreNoError) {
  BlockCache cache(64 * kMiB);
  std::vector<void*> blocks;
  while (void* data = cache.take(3 * kMiB)) blocks.push_back(data);
  EXPECT_GE(blocks.size(), 20U);
  EXPECT_EQ(cache.take(100 * kMiB), nullptr);
  EXPECT_EQ(cache.take(std::numeric_limits<std::size_t>::max()), nullptr);
  cache.give_back(blocks.back());
  EXPECT_EQ(cache.take(3 * kMiB), blocks.back());
}

TEST(BlockCache, WithoutAddressesItOwnsNothing) {
  BlockCache cache(0);
  EXPECT_EQ(cache.take(kMiB), nullptr);
  int local = 0;
  EXPECT_FALSE(cache.owns(&local));
  EXPECT_FALSE(cache.owns(nullptr));
}

TEST_F(BlockCacheTest, OwnsItsBlocksAlone) {
  const std::vector<std::byte> other(kMiB);
  EXPECT_FALSE(cache.owns(other.data()));
  EXPECT_FALSE(cache.owns(nullptr));
  const std::byte* mine = take(kMiB);
  EXPECT_TRUE(cache.owns(mine));
  EXPECT_FALSE((BlockCache(kGiB).owns(mine)));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their shadow needs all addresses
TEST(BlockCache, ALimitOnAddressesIsSharedWithTheRestOfTheProcess) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = 2 * kGiB;
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  std::size_t taken = 0;
  {
    BlockCache cache(64 * kGiB);
    while (cache.take(16 * kMiB) != nullptr) taken += 16 * kMiB;
  }
  EXPECT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_GT(taken, 256 * kMiB);
  EXPECT_LE(taken, 512 * kMiB);
}
#endif

TEST_F(BlockCacheTest, AChildGoesOnWithoutTheThreadThatHeldTheLock) {
  std::byte* data = take(kMiB, 5);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) cache.give_back(cache.take(kMiB));
  });
  int failed = 0;
  for (int i = 0; i < 20; ++i) {
    cache.lock();
    const pid_t child = ::fork();
    cache.unlock();
    if (child == 0) {
      ::alarm(20);
      void* own = cache.take(kMiB);
      const bool ok = own != nullptr && data[7] == std::byte{5};
      if (ok) std::memset(own, 9, kMiB);
      cache.give_back(own);
      ::_exit(ok ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    failed += status != 0;
  }
  stop = true;
  busy.join();
  EXPECT_EQ(failed, 0);
}

/// One thread takes and fills, another one looks and gives back; both also work for themselves.
TEST_F(BlockCacheTest, OneThreadGivesBackWhatAnotherTook) {
  struct Filled {
    std::byte* data;
    std::size_t bytes;
    std::byte value;
  };
  std::mutex mutex;
  std::condition_variable ready;
  std::deque<Filled> queue;
  std::atomic<int> wrong{0};
  constexpr int kBlocks = 2'000, kPairs = 2;
  const auto check = [&](const Filled& block) {
    if (block.data[0] != block.value || block.data[block.bytes - 1] != block.value) ++wrong;
    cache.give_back(block.data);
  };
  std::vector<std::thread> threads;
  for (int pair = 0; pair < kPairs; ++pair) {
    threads.emplace_back([&, pair] {
      std::mt19937 random(static_cast<unsigned>(pair));
      for (int i = 0; i < kBlocks; ++i) {
        const std::size_t bytes = BlockCache::kLeast + random() % 8 * 64 * kKiB;
        const auto value = static_cast<std::byte>(random());
        auto* data = static_cast<std::byte*>(cache.take(bytes));
        data[0] = data[bytes - 1] = value;
        if (i % 4 == 0) {
          check({data, bytes, value});
          continue;
        }
        const std::lock_guard lock(mutex);
        queue.push_back({data, bytes, value});
        ready.notify_one();
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < kBlocks - kBlocks / 4; ++i) {
        std::unique_lock lock(mutex);
        ready.wait(lock, [&] { return !queue.empty(); });
        const Filled block = queue.front();
        queue.pop_front();
        lock.unlock();
        check(block);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  const record::Memory figures = cache.figures();
  EXPECT_EQ(figures.blocks_made + figures.blocks_reused, kPairs * kBlocks);
}

}  // namespace
}  // namespace regatta
