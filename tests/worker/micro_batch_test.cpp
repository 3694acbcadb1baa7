#include "worker/micro_batch.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/small_memory_model.hpp"
#include "worker/lap_clock.hpp"
#include "worker/rank_context.hpp"
#include "worker/watchdog.hpp"

namespace regatta {
namespace {

Plan small_plan(ModelKind kind) {
  Plan plan;
  plan.training.model = with_default_sizes({.kind = kind, .channels = {4, 4, 4, 4}});
  plan.training.train.batch = 64;
  plan.dataset.sample_shape = {3, 8, 8};
  plan.dataset.classes = 4;
  plan.dataset.train_count = 640;
  plan.placement.ranks = 1;
  plan.shares = {1};
  return plan;
}

TEST(MostThatFit, HalvesRoundedUp) {
  std::vector<std::int64_t> tried;
  const auto up_to = [&](std::int64_t room) {
    tried.clear();
    return [&tried, room](std::int64_t samples) {
      tried.push_back(samples);
      return samples <= room;
    };
  };
  EXPECT_EQ(most_that_fit(100, up_to(100)), 100);
  EXPECT_EQ(most_that_fit(100, up_to(12)), 7);
  EXPECT_EQ(tried, (std::vector<std::int64_t>{100, 50, 25, 13, 7}));
  EXPECT_EQ(most_that_fit(3, up_to(1)), 1);
  EXPECT_EQ(most_that_fit(3, up_to(0)), 0);
  EXPECT_EQ(tried, (std::vector<std::int64_t>{3, 2, 1})) << "and no more";
}

TEST(LargestPart, IsTheLargestShareOfTheLargestPart) {
  Plan plan = small_plan(ModelKind::kResnet18);
  EXPECT_EQ(largest_part(plan), 64);
  plan.shares = {1, 3};
  EXPECT_EQ(largest_part(plan), 48);
  plan.training.train.accumulate = 3;  // 21, 21, 22
  EXPECT_EQ(largest_part(plan), 17);
  plan.dataset.train_count = 10;
  plan.training.train.accumulate = 1;
  EXPECT_EQ(largest_part(plan), 8);
}

class PassFits : public testing::Test {
 protected:
  PassFits() {
    auto made = make_model(plan_.training.model, plan_.dataset, Precision::kFp32, 1);
    model_ = std::make_unique<test::SmallMemoryModel>(std::move(made), /*most=*/10);
    std::vector<Parameter> parameters;
    for (const auto& [name, tensor] : model_->parameters()) parameters.push_back({name, tensor});
    exchanger_ = make_node_exchanger({.parameters = parameters,
                                      .limits = plan_.buckets,
                                      .clip_norm = {},
                                      .clock = clock_,
                                      .watchdog = watchdog_,
                                      .ranks = *ranks_},
                                     {});
  }
  std::vector<at::Tensor> tensors() const {
    std::vector<at::Tensor> copies;
    for (const NamedTensors* list : {&model_->parameters(), &model_->buffers()})
      for (const auto& [name, tensor] : *list) copies.push_back(tensor.detach().clone());
    return copies;
  }

  Plan plan_ = small_plan(ModelKind::kResnet18);
  Watchdog watchdog_{std::chrono::seconds(60), [](const std::string& message) { ADD_FAILURE() << message; }};
  std::unique_ptr<RankContext> ranks_ = make_solo_context();
  LapClock clock_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Exchanger> exchanger_;
};

TEST_F(PassFits, AndLeavesEverythingAsItWas) {
  const auto before = tensors();
  EXPECT_TRUE(pass_fits(plan_, *model_, *exchanger_, 10));
  EXPECT_FALSE(pass_fits(plan_, *model_, *exchanger_, 11));
  const auto after = tensors();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(after[i], before[i])) << "tensor " << i;
  for (const auto& [name, parameter] : model_->parameters()) EXPECT_FALSE(parameter.grad().defined()) << name;
}

TEST_F(PassFits, AndTheNextStepIsAsEver) {
  EXPECT_EQ(find_micro_batch(plan_, *model_, *exchanger_, *ranks_), 8);
  const auto before = tensors();
  exchanger_->begin_step(1, 2, 0.1);
  exchanger_->begin_pass(true);
  loss_sum(model_->forward(at::linspace(-1, 1, 384).view({2, 3, 8, 8})), at::zeros({2}, at::kLong)).backward();
  exchanger_->finish_step({.loss_sum = 1});
  EXPECT_FALSE(at::equal(tensors()[0], before[0])) << "gradients reach the exchanger again";
}

TEST_F(PassFits, AndOtherTroubleIsItsThrowers) {
  plan_.dataset.sample_shape = {2, 8, 8};
  EXPECT_THROW(pass_fits(plan_, *model_, *exchanger_, 1), std::exception);
}

}  // namespace
}  // namespace regatta
