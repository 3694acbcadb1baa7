// The collectives that are not gradients, in closed forms. EXPECT only, as exchange_main.cpp says.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "tests/mpi/world.hpp"
#include "worker/failure.hpp"

namespace regatta {
namespace {

using test::world;

int ranks() {
  return world().ranks.world_size();
}
int rank() {
  return world().ranks.rank();
}

/// Of a length of its own for each rank; rank 0's is empty.
std::string word_of(int rank) {
  return std::string(static_cast<std::size_t>(rank) * 1000, static_cast<char>('a' + rank));
}

TEST(Context, GathersEveryRanksTextAtRankZero) {
  const std::vector<std::string> texts = world().ranks.gather(word_of(rank()));
  EXPECT_EQ(texts.size(), rank() == 0 ? static_cast<std::size_t>(ranks()) : 0U);
  for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], word_of(static_cast<int>(i)));
}

TEST(Context, BroadcastsRankZerosText) {
  const std::string binary("a\0b\n", 4);
  EXPECT_EQ(world().ranks.broadcast(rank() == 0 ? binary : word_of(rank())), binary);
  EXPECT_EQ(world().ranks.broadcast(rank() == 0 ? "" : "of no interest"), "");
}

TEST(Context, FindsTheLeastAndTheGreatest) {
  const double mine = rank() + 1, infinite = std::numeric_limits<double>::infinity();
  std::array<double, 3> least{mine, -mine, rank() == 0 ? infinite : mine}, greatest = least;
  world().ranks.allreduce(least, Reduce::kMin);
  world().ranks.allreduce(greatest, Reduce::kMax);
  EXPECT_EQ(least, (std::array<double, 3>{1, -1.0 * ranks(), ranks() == 1 ? infinite : 2}));
  EXPECT_EQ(greatest, (std::array<double, 3>{1.0 * ranks(), -1, infinite}));
}

TEST(Context, SplitsIntoGroupsThatAreContexts) {
  RankContext& group = world().ranks.split(rank() % 2);
  const int size = (ranks() + 1 - rank() % 2) / 2;
  EXPECT_EQ(group.world_size(), size);
  EXPECT_EQ(group.local_size(), size);
  EXPECT_EQ(group.rank(), rank() / 2) << "in rank order";
  std::array<double, 1> least{rank() + 1.0};
  group.allreduce(least, Reduce::kMin);
  EXPECT_EQ(least[0], rank() % 2 + 1);
  EXPECT_EQ(group.broadcast(std::to_string(rank())), std::to_string(rank() % 2));
  auto* shared = reinterpret_cast<std::atomic<int>*>(group.node_shared(sizeof(std::atomic<int>)));
  if (group.rank() == 0) new (shared) std::atomic<int>(0);
  group.barrier();
  ++*shared;
  group.barrier();
  EXPECT_EQ(*shared, size);
  world().ranks.barrier();  // the whole goes on
}

TEST(Context, SharesMemoryThatEveryRankOfTheHostSees) {
  using Word = std::atomic<std::int64_t>;
  const int local = world().ranks.local_rank(), count = world().ranks.local_size();
  EXPECT_EQ(count, ranks()) << "these tests run on one host";
  for (const std::size_t more : {1U, 100'000U}) {  // the second block must not lie over the first
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(Word) + more;
    std::byte* memory = world().ranks.node_shared(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % kCacheLine, 0U);
    auto* words = reinterpret_cast<Word*>(memory);
    new (words + local) Word(local * local + 7);
    if (local == 0) std::fill_n(memory + bytes - more, more, std::byte{42});
    world().ranks.node_barrier();
    for (int i = 0; i < count; ++i) EXPECT_EQ(words[i], i * i + 7);
    EXPECT_EQ(memory[bytes - 1], std::byte{42});
    EXPECT_EQ(memory[bytes - more], std::byte{42});
    world().ranks.node_barrier();
  }
}

/// What `agree` threw; "" for nothing.
std::string agreement(const std::function<void()>& work, ExitCode& code) {
  try {
    agree(world().ranks, work);
    return "";
  } catch (const AgreedError& error) {
    code = error.exit_code();
    return error.what();
  }
}

TEST(Context, AgreesOnAFailureOfOneRank) {
  ExitCode code = ExitCode::kDone;
  EXPECT_EQ(agreement([] {}, code), "");
  const int failing = ranks() - 1;
  const std::string said = agreement(
      [&] {
        if (rank() == failing) throw DataError("damaged");
      },
      code);
  EXPECT_EQ(code, ExitCode::kData);
  const std::string where = failing == 0 ? "" : "rank " + std::to_string(failing) + " on " + host_name() + ": ";
  EXPECT_EQ(said, where + "damaged") << "the same words on every rank";
  EXPECT_EQ(agreement([] {}, code), "") << "and the next one is as ever";
}

TEST(Context, AgreesOnTheGreatestCodeAndAllMessages) {
  if (ranks() == 1) GTEST_SKIP() << "one rank has one failure";
  ExitCode code = ExitCode::kDone;
  const std::string said = agreement(
      [] {
        if (rank() == 0) throw IoError("full");
        if (rank() == 1) throw DataError("damaged");
      },
      code);
  EXPECT_EQ(code, ExitCode::kDisk);
  EXPECT_EQ(said, "full\nrank 1 on " + host_name() + ": damaged");
}

}  // namespace
}  // namespace regatta
