// Batch norm over ranks against PyTorch's own on the whole batch in one process: three steps of the small resnet18 by
// the real exchange, with equal, unequal and empty shares.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/jobs/model_oracle.hpp"
#include "tests/mpi/world.hpp"
#include "worker/exchanger.hpp"
#include "worker/lap_clock.hpp"
#include "worker/optimizer.hpp"

namespace regatta {
namespace {

using test::world;
using Shares = std::vector<std::int64_t>;

/// One rank's end of a training with all its parts.
class SmallResnet {
 public:
  SmallResnet(Precision precision, const Shares& shares, BatchNorm batch_norm)
      : model_(test::oracle_model(oracle_, precision)) {
    const auto rank = static_cast<std::size_t>(world().ranks.rank());
    const std::int64_t first =
        std::accumulate(shares.begin(), shares.begin() + static_cast<std::ptrdiff_t>(rank), std::int64_t{0});
    samples_ = shares[rank];
    batch_ = test::oracle_batch(oracle_, precision, first, samples_);
    std::vector<Parameter> parameters;
    for (const auto& [name, tensor] : model_->parameters()) parameters.push_back({name, tensor});
    exchanger_ = make_node_exchanger(
        {.parameters = parameters, .clock = clock_, .watchdog = world().watchdog, .ranks = world().ranks},
        {.lr = 0.05, .momentum = 0.9});
    sum_ = [this](std::span<double> sums) { exchanger_->allreduce_now(sums); };
    if (batch_norm == BatchNorm::kSync) model_->share_statistics(sum_);
  }

  /// Returns the global loss.
  double step() {
    exchanger_->begin_step(++step_, oracle_.batch, 0.05);
    StepVotes votes;
    if (samples_ > 0 || model_->is_collective()) {
      const at::Tensor loss = loss_sum(model_->forward(batch_.inputs), batch_.targets);
      loss.backward();
      votes.loss_sum.add(loss);
    }
    return exchanger_->finish_step(votes).value().loss;
  }

  void average() { average_running_statistics(*model_, samples_, sum_); }
  Model& model() { return *model_; }

 private:
  const test::OracleCase& oracle_ = test::oracle_case("small_resnet18");
  std::unique_ptr<Model> model_;
  test::OracleBatch batch_;
  std::int64_t samples_ = 0, step_ = 0;
  LapClock clock_;
  std::unique_ptr<Exchanger> exchanger_;
  SumOverRanks sum_;
};

/// Ways to divide the six samples among the ranks of this launch.
std::vector<Shares> ways() {
  switch (world().ranks.world_size()) {
    case 1:
      return {{6}};
    case 2:
      return {{3, 3}, {4, 2}, {0, 6}, {6, 0}};
    case 3:
      return {{2, 2, 2}, {3, 1, 2}, {0, 1, 5}};
    default:
      return {{2, 2, 1, 1}, {0, 3, 0, 3}};
  }
}

bool same_on_all_ranks(const NamedTensors& tensors) {
  std::vector<double> least;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor exact = tensor.detach().to(at::kDouble).contiguous();
    least.insert(least.end(), exact.const_data_ptr<double>(), exact.const_data_ptr<double>() + exact.numel());
  }
  std::vector<double> most = least;
  world().ranks.allreduce(least, Reduce::kMin);
  world().ranks.allreduce(most, Reduce::kMax);
  return least == most;
}

TEST(BatchNormOverRanks, IsOneProcesssWithTheWholeBatch) {
  const test::Expected expected(test::oracle_case("small_resnet18"));
  for (const Shares& shares : ways()) {
    SmallResnet training(Precision::kFp64, shares, BatchNorm::kSync);
    for (std::size_t step = 1; step <= 3; ++step) {
      EXPECT_NEAR(training.step(), expected.loss(step - 1), 1e-10 * expected.loss(step - 1));
      if (step == 2) continue;
      const std::string prefix = "after" + std::to_string(step);
      EXPECT_LE(expected.difference(prefix, training.model().parameters()), 1e-10) << prefix;
      EXPECT_LE(expected.difference(prefix, training.model().buffers()), 1e-10) << prefix;
    }
    EXPECT_TRUE(same_on_all_ranks(training.model().buffers()));
  }
}

TEST(BatchNormOverRanks, IsNearItInFloat) {
  const test::Expected expected(test::oracle_case("small_resnet18"));
  for (const Shares& shares : ways()) {
    SmallResnet training(Precision::kFp32, shares, BatchNorm::kSync);
    EXPECT_NEAR(training.step(), expected.loss(0), 1e-5);
    EXPECT_LE(expected.difference("after1", training.model().parameters()), 1e-4);
    EXPECT_LE(expected.difference("after1", training.model().buffers()), 1e-5);
    EXPECT_TRUE(same_on_all_ranks(training.model().buffers()));
  }
}

TEST(BatchNormOverRanks, WorksUnderAutocast) {
  const test::Expected expected(test::oracle_case("small_resnet18"));
  for (const Shares& shares : ways()) {
    SmallResnet training(Precision::kBf16, shares, BatchNorm::kSync);
    for (std::size_t step = 1; step <= 3; ++step)  // eight bits of mantissa: each step adds to the difference
      EXPECT_NEAR(training.step(), expected.loss(step - 1), 5e-2 * static_cast<double>(step)) << "step " << step;
    EXPECT_TRUE(same_on_all_ranks(training.model().parameters()));
    EXPECT_TRUE(same_on_all_ranks(training.model().buffers()));
  }
}

TEST(BatchNormOverRanks, LocalStatisticsAreEqualOnceAveraged) {
  for (const Shares& shares : ways()) {
    SmallResnet training(Precision::kFp64, shares, BatchNorm::kLocal);
    EXPECT_FALSE(training.model().is_collective());
    training.step();
    if (world().ranks.world_size() > 1) {
      EXPECT_FALSE(same_on_all_ranks(training.model().buffers()));
    }
    training.average();
    EXPECT_TRUE(same_on_all_ranks(training.model().buffers()));
    EXPECT_EQ(training.model().buffers()[2].second.item<std::int64_t>(), 1);
  }
}

}  // namespace
}  // namespace regatta
