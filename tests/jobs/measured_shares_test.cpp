#include "jobs/measured_shares.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>

#include "jobs/shares.hpp"

namespace regatta::test {
namespace {

using testing::ElementsAre, testing::Optional;
using Speeds = std::vector<double>;
using Counts = std::vector<std::int64_t>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

double slowest_s(const Counts& counts, const Speeds& speeds) {
  double most = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) most = std::max(most, static_cast<double>(counts[i]) * speeds[i]);
  return most;
}

std::int64_t sum(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

Speeds random_speeds(std::mt19937_64& random, std::size_t ranks) {
  Speeds speeds(ranks);
  for (double& s : speeds) s = std::exp(std::uniform_real_distribution<double>(-4, 4)(random));
  return speeds;
}

TEST(FittingShares, AreInverseToTheTimeOfASample) {
  EXPECT_THAT(fitting_shares(Speeds{1, 3}, 128), ElementsAre(96, 32));
  EXPECT_THAT(fitting_shares(Speeds{3, 1}, 128), ElementsAre(32, 96));
  EXPECT_THAT(fitting_shares(Speeds{1, 1, 1}, 128), ElementsAre(43, 43, 42));
  EXPECT_THAT(fitting_shares(Speeds{0.5}, 7), ElementsAre(7));
  EXPECT_THAT(fitting_shares(Speeds{1, 1e6}, 128), ElementsAre(127, 1)) << "one sample, to be measured by";
  EXPECT_THAT(fitting_shares(Speeds{1, 1, 1e6}, 2), ElementsAre(1, 1, 0)) << "fewer samples than ranks";
}

// Every way to divide up to nine samples among three ranks: none is faster.
TEST(FittingShares, NoOtherDivisionIsFaster) {
  std::mt19937_64 random(20);
  for (int trial = 0; trial < 300; ++trial) {
    const Speeds speeds = random_speeds(random, 3);
    const auto samples = static_cast<std::int64_t>(3 + random() % 7);
    double best = kInfinite;
    for (std::int64_t a = 1; a <= samples - 2; ++a)
      for (std::int64_t b = 1; b <= samples - a - 1; ++b)
        best = std::min(best, slowest_s({a, b, samples - a - b}, speeds));
    EXPECT_LE(slowest_s(fitting_shares(speeds, samples), speeds), best * (1 + 1e-12));
  }
}

TEST(FittingShares, SumToTheSamplesAndNeverGiveTheFasterRankFewer) {
  std::mt19937_64 random(21);
  for (int trial = 0; trial < 1000; ++trial) {
    Speeds speeds = random_speeds(random, 1 + random() % 8);
    const auto samples = static_cast<std::int64_t>(1 + random() % (trial % 10 == 0 ? 1'000'000 : 300));
    const Counts counts = fitting_shares(speeds, samples);
    ASSERT_EQ(sum(counts), samples);
    for (std::size_t i = 0; i < counts.size(); ++i) {
      ASSERT_GE(counts[i], samples >= static_cast<std::int64_t>(counts.size()) ? 1 : 0);
      for (std::size_t j = 0; j < counts.size(); ++j) ASSERT_TRUE(speeds[i] >= speeds[j] || counts[i] >= counts[j]);
    }
    const std::size_t quicker = random() % speeds.size();
    speeds[quicker] *= 0.7;
    ASSERT_GE(fitting_shares(speeds, samples)[quicker], counts[quicker]);
  }
}

TEST(FittingShares, TakeAnUnknownRankForAnAverageOne) {
  for (const double unknown : {0.0, kNan, kInfinite, -1.0}) {
    EXPECT_THAT(fitting_shares(Speeds{1, unknown, 1}, 30), ElementsAre(10, 10, 10)) << unknown;
    EXPECT_THAT(fitting_shares(Speeds{unknown, unknown}, 31), ElementsAre(16, 15)) << unknown;
  }
}

TEST(LearnSpeeds, AveragesWhatConfirmsAndBelievesWhatDiffers) {
  EXPECT_THAT(learn_speeds({}, std::vector<ComputeMeasure>{{2, 4}, {3, 1}}), ElementsAre(0.5, 3));
  EXPECT_THAT(learn_speeds(Speeds{1, 1, 1}, std::vector<ComputeMeasure>{{1.1, 1}, {30, 10}, {0.3, 1}}),
              ElementsAre(testing::DoubleEq(1.05), 3, 0.3));
}

TEST(LearnSpeeds, KeepsWhatItKnowsOverNonsense) {
  const std::vector<ComputeMeasure> nonsense{{0, 8}, {1, 0}, {kNan, 8}, {kInfinite, 8}, {-1, 8}, {0, 0}};
  EXPECT_THAT(learn_speeds(Speeds{1, 2, 3, 4, 5, 6}, nonsense), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(learn_speeds({}, nonsense), ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_THAT(learn_speeds(Speeds{0, kNan}, std::vector<ComputeMeasure>{{2, 1}, {3, 1}}), ElementsAre(2, 3));
}

TEST(BetterShares, AreThereOnlyWhenTheyAreWorthIt) {
  EXPECT_EQ(better_shares(Counts{1, 1}, Speeds{1, 1}, 128), std::nullopt);
  EXPECT_EQ(better_shares(Counts{64, 64}, Speeds{1, 1.03}, 128), std::nullopt);
  EXPECT_THAT(better_shares(Counts{1, 1}, Speeds{1, 3}, 128), Optional(ElementsAre(96, 32)));
  EXPECT_EQ(better_shares(Counts{0, 3}, Speeds{1, 0}, 128).value(), (Counts{64, 64})) << "an idle rank is given work";
  EXPECT_EQ(better_shares(Counts{1, 1}, Speeds{0, 0}, 128), std::nullopt) << "nothing is known";
  EXPECT_EQ(better_shares(Counts{1, 1}, Speeds{kNan, kInfinite}, 128), std::nullopt);
  EXPECT_EQ(better_shares(Counts{1}, Speeds{5}, 128), std::nullopt) << "one rank has everything";
}

TEST(BetterShares, MoveHalfOfABatchAtATime) {
  Counts counts{127, 1};
  const Speeds speeds{1e3, 1};
  for (const Counts& expected : {Counts{63, 65}, Counts{1, 127}}) {
    const auto next = better_shares(counts, speeds, 128);
    ASSERT_EQ(next, expected);
    counts = *next;
  }
  std::mt19937_64 random(22);
  for (int trial = 0; trial < 500; ++trial) {
    const std::size_t ranks = 2 + random() % 6;
    const auto samples = static_cast<std::int64_t>(1 + random() % 200);
    const Counts now = fitting_shares(random_speeds(random, ranks), samples);
    const auto next = better_shares(now, random_speeds(random, ranks), samples);
    if (!next) continue;
    std::int64_t gained = 0;
    for (std::size_t i = 0; i < ranks; ++i) gained += std::max<std::int64_t>(0, (*next)[i] - now[i]);
    EXPECT_LE(gained, samples / 2 + static_cast<std::int64_t>(ranks)) << "but for whole samples";
    EXPECT_EQ(sum(*next), samples);
  }
}

/// Epochs as ranks live them: seconds(rank, samples) is what a step's compute takes. Returns the shares after each.
std::vector<Counts> epochs(std::size_t ranks, std::int64_t batch, int count,
                           const std::function<double(int epoch, std::size_t rank, double samples)>& seconds) {
  std::vector<Counts> history{Counts(ranks, 1)};
  Speeds known;
  for (int epoch = 0; epoch < count; ++epoch) {
    std::vector<ComputeMeasure> measured;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const auto samples = share_of({0, batch}, history.back(), static_cast<int>(rank)).size();
      measured.push_back({10 * seconds(epoch, rank, static_cast<double>(samples)), 10 * samples});
    }
    known = learn_speeds(known, measured);
    history.push_back(better_shares(history.back(), known, batch).value_or(history.back()));
  }
  return history;
}

TEST(BetterShares, ConvergeToEqualTimesAlsoWhereAStepCostsMoreThanItsSamples) {
  const auto seconds = [](int, std::size_t rank, double samples) {
    return 5.0 + static_cast<double>(1 + rank * rank) * samples;
  };
  const auto history = epochs(4, 256, 12, seconds);
  double least = kInfinite, most = 0;
  for (std::size_t rank = 0; rank < 4; ++rank) {
    const double s = seconds(0, rank, static_cast<double>(history.back()[rank]));
    least = std::min(least, s);
    most = std::max(most, s);
  }
  EXPECT_LT(most, 1.06 * least);
  EXPECT_EQ(history.back(), history[history.size() - 2]) << "and stay there";
}

TEST(BetterShares, FollowAChangeWithinTwoEpochs) {
  const auto history = epochs(2, 128, 8, [](int epoch, std::size_t rank, double samples) {
    const bool slow = epoch < 4 ? rank == 0 : rank == 1;
    return samples * (slow ? 3 : 1);
  });
  EXPECT_EQ(history[1], (Counts{32, 96}));
  EXPECT_EQ(history[4], (Counts{32, 96}));
  EXPECT_EQ(history[6], (Counts{96, 32}));
  EXPECT_EQ(history[8], (Counts{96, 32}));
}

TEST(BetterShares, StayWhereTheyAreUnderNoise) {
  std::mt19937_64 random(23);
  std::uniform_real_distribution<double> noise(0.98, 1.02);
  const auto history = epochs(
      2, 128, 50, [&](int, std::size_t rank, double samples) { return samples * (rank == 0 ? 1 : 3) * noise(random); });
  for (std::size_t i = 2; i < history.size(); ++i) EXPECT_EQ(history[i], history[1]) << "epoch " << i;
}

}  // namespace
}  // namespace regatta::test
