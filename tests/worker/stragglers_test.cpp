#include "worker/stragglers.hpp"

#include <gmock/gmock.h>

namespace regatta {
namespace {

using testing::ElementsAre;

/// A row a rank, two ranks a host: n1, n1, n2, ...
std::vector<RankEpoch> rows_with(const std::vector<double>& waits) {
  std::vector<RankEpoch> rows;
  for (std::size_t rank = 0; rank < waits.size(); ++rank) {
    rows.push_back({.rank = static_cast<int>(rank), .host = "n" + std::to_string(rank / 2 + 1), .wall_s = 10});
    rows.back().seconds[Phase::kStragglerWait] = waits[rank];
  }
  return rows;
}

const Price kPrice{.usd_per_node_hour = NanoUsd{3'600'000'000}, .billing = Billing::kNode};
const Holding kTwoNodes{.nodes = 2, .ranks = 4, .cores_per_node = 2};

TEST(Stragglers, AreTheRanksThatTheOthersWaitFor) {
  const auto found = find_stragglers(rows_with({2, 2.1, 0, 1.9}), 10, kPrice, kTwoNodes);
  ASSERT_TRUE(found);
  EXPECT_THAT(found->ranks, ElementsAre(2));
  EXPECT_THAT(found->hosts, ElementsAre("n2"));
  EXPECT_DOUBLE_EQ(found->waited_s, 2);
  // Three of four ranks idle for 2 s: a quarter less than two nodes at a thousandth of a dollar a second for 2 s.
  EXPECT_EQ(*found->cost, (NanoUsd{3'000'000}));
}

TEST(Stragglers, AreBothRanksOfASlowHost) {
  const auto found = find_stragglers(rows_with({3, 3.1, 0.2, 0}), 10, {}, kTwoNodes);
  ASSERT_TRUE(found);
  EXPECT_THAT(found->ranks, ElementsAre(2, 3));
  EXPECT_THAT(found->hosts, ElementsAre("n2"));
  EXPECT_NEAR(found->waited_s, 3.05, 1e-12);
  EXPECT_FALSE(found->cost) << "no price, no cost";
}

TEST(Stragglers, AreNotNamedForNoise) {
  EXPECT_FALSE(find_stragglers(rows_with({0.4, 0.45, 0, 0.42}), 10, kPrice, kTwoNodes)) << "4 % of the epoch";
  EXPECT_FALSE(find_stragglers(rows_with({0.09, 0}), 0.5, kPrice, kTwoNodes)) << "less than 100 ms";
  EXPECT_FALSE(find_stragglers(rows_with({0, 0, 0, 3}), 10, kPrice, kTwoNodes)) << "three of four are not late";
  EXPECT_FALSE(find_stragglers(rows_with({1, 1, 1, 1}), 10, kPrice, kTwoNodes)) << "by turns";
  EXPECT_FALSE(find_stragglers(rows_with({0}), 10, kPrice, kTwoNodes));
}

TEST(Stragglers, OfTwoRanksIsOne) {
  const auto found = find_stragglers(rows_with({0, 2}), 10, kPrice, {.ranks = 2, .cores_per_node = 2});
  ASSERT_TRUE(found);
  EXPECT_THAT(found->ranks, ElementsAre(0));
}

}  // namespace
}  // namespace regatta
