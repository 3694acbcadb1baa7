// What nodes do that train on their own for a while. SmallModel's gradients do not depend on the weights, so with a
// rule that is linear in the gradient an average over nodes, weighted by samples, is the synchronous training.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/mpi/small_model.hpp"

namespace regatta {
namespace {

using test::distance;
using test::ExchangeWay;
using test::Rule;
using test::SmallModel;
using test::trained;

const std::vector<std::vector<int>> kHosts = {{0, 1, 2, 3}, {0, 0, 1, 1}, {0, 1, 0, 1}, {0, 0, 1, 2}, {2, 1, 1, 1}};
const Rule kMomentum{"Momentum", {.momentum = 0.9}}, kSgd{"Sgd", {}};

TEST(ClusterExchanger, AnAverageOfLinearStepsIsTheSynchronousTraining) {
  for (const auto& hosts : kHosts)
    for (const at::ScalarType type : {at::kDouble, at::kFloat})
      for (const int steps : {4, 5}) {  // the last one is averaged because the exchanger settles
        const auto expected = trained({.name = "mpi", .type = type, .mpi = true}, kMomentum, steps);
        const auto found = trained({.name = "cluster", .type = type, .hosts = hosts, .every = 2}, kMomentum, steps);
        EXPECT_LE(distance(found, expected), type == at::kDouble ? 1e-10 : 1e-6)
            << testing::PrintToString(hosts) << ", " << steps << " steps";
      }
}

TEST(ClusterExchanger, AnAverageOverABf16WireIsNearIt) {
  for (const bool bf16 : {false, true}) {
    const ExchangeWay way{
        .name = "cluster", .type = at::kFloat, .bf16 = bf16, .wire = Wire::kBf16, .hosts = kHosts[0], .every = 2};
    const auto expected = trained({.name = "mpi", .type = at::kFloat, .mpi = true}, kSgd, 8);
    EXPECT_LE(distance(trained(way, kSgd, 8), expected), bf16 ? 5e-3 : 5e-4);
  }
}

TEST(ClusterExchanger, TakesDiLoCosOuterStep) {
  constexpr int kEvery = 2, kRounds = 4;
  for (const OuterSpec& outer : {OuterSpec{.lr = 0.7, .momentum = 0.9, .nesterov = true},
                                 OuterSpec{.lr = 0.7, .momentum = 0.9}, OuterSpec{.lr = 0.5}}) {
    SmallModel synchronous({.name = "mpi", .type = at::kDouble, .mpi = true}, {}, {});
    std::vector<at::Tensor> expected = synchronous.weights(), before = expected, momentum;
    for (const at::Tensor& weight : expected) momentum.push_back(at::zeros_like(weight));
    for (int round = 0; round < kRounds; ++round) {
      for (int step = 0; step < kEvery; ++step) synchronous.step();
      const auto after = synchronous.weights();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const at::Tensor gradient = before[i] - after[i];
        momentum[i] = outer.momentum * momentum[i] + gradient;
        expected[i] = expected[i] - outer.lr * (outer.nesterov ? gradient + outer.momentum * momentum[i] : momentum[i]);
      }
      before = after;
    }
    const ExchangeWay way{
        .name = "cluster", .type = at::kDouble, .hosts = {0, 1, 2, 2}, .every = kEvery, .outer = outer};
    const auto found = trained(way, kSgd, kRounds * kEvery);
    if (test::world().ranks.world_size() > 1) {
      EXPECT_LE(distance(found, expected), 1e-10) << outer.lr;
    }
  }
}

TEST(ClusterExchanger, InEachStepIsTheSynchronousPathBitForBit) {
  for (const auto& hosts : kHosts) {
    const ExchangeWay way{.name = "cluster", .type = at::kFloat, .hosts = hosts};
    ExchangeWay every_one = way;
    every_one.every = 1;
    every_one.outer = {.lr = 0.7, .momentum = 0.9, .nesterov = true};
    const auto expected = trained(way, kMomentum, 5), found = trained(every_one, kMomentum, 5);
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i]));
  }
}

TEST(ClusterExchanger, ClipsWithinTheNodeWhereNodesTrainOnTheirOwn) {
  // Each node's gradient is cut to the same small norm: an average can be no longer.
  constexpr double kNorm = 0.5;
  SmallModel model({.name = "cluster", .type = at::kDouble, .hosts = {0, 1, 1, 2}, .every = 2}, {}, kNorm);
  const auto before = model.weights();
  for (int step = 0; step < 2; ++step) model.step();  // at rates 0.01 and 0.02
  const auto after = model.weights();
  double squares = 0;
  for (std::size_t i = 0; i < before.size(); ++i) squares += (before[i] - after[i]).square().sum().item<double>();
  EXPECT_LE(std::sqrt(squares), 0.03 * kNorm * (1 + 1e-9));
  EXPECT_GE(std::sqrt(squares), 0.03 * kNorm * 0.5);
}

TEST(ClusterExchanger, SendsHalfOfItInBf16) {
  if (test::world().ranks.world_size() == 1) GTEST_SKIP() << "one rank sends nothing";
  const auto bytes = [](Wire wire) {
    SmallModel model({.name = "cluster", .type = at::kFloat, .wire = wire, .hosts = {0, 1, 2, 3}}, {}, {});
    model.step();
    return model.exchanger().take_bytes_exchanged();
  };
  EXPECT_EQ(bytes(Wire::kSame), 2 * bytes(Wire::kBf16));
}

}  // namespace
}  // namespace regatta
