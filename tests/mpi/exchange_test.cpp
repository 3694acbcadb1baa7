// Closed forms. The loss of rank r is the sum over parameters i of (r + 1)(i + 1) * sum(p_i), so that its gradient is
// (r + 1)(i + 1) everywhere and the sum over n ranks (i + 1) n (n + 1) / 2: small integers, exact in float.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <ostream>

#include "tests/mpi/world.hpp"
#include "worker/exchanger.hpp"
#include "worker/lap_clock.hpp"
#include "worker/optimizer.hpp"

namespace regatta {
namespace {

using test::world;

constexpr std::int64_t kGlobalSamples = 8;  // a power of two: the mean is exact too

/// What the optimizer was given.
struct Applied {
  std::size_t parameter;
  at::Tensor mean_gradient;
  double learning_rate;
};

class RecordingOptimizer final : public Optimizer {
 public:
  explicit RecordingOptimizer(std::vector<Applied>& applied) : applied_(applied) {}
  void apply(std::size_t parameter, const at::Tensor& mean_gradient, double learning_rate) override {
    applied_.push_back({parameter, mean_gradient.clone(), learning_rate});
  }

 private:
  std::vector<Applied>& applied_;
};

struct Wire {
  const char* name;
  at::ScalarType type;
  bool solo;
};
void PrintTo(const Wire& wire, std::ostream* out) {
  *out << wire.name;
}

class Exchange : public testing::TestWithParam<Wire> {
 protected:
  void SetUp() override {
    if (GetParam().solo && world().ranks.world_size() > 1) GTEST_SKIP() << "the solo exchanger has one rank";
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{3, 5}, {7}, {2, 2, 2}, {11}, {1}})
      parameters_.push_back({"p", at::zeros(shape, GetParam().type).requires_grad_(true)});
    // 15 + 7 + 8 + 11 + 1 elements; limits that make three buckets of them.
    const auto element = static_cast<std::int64_t>(parameters_[0].tensor.element_size());
    limits_ = {.first_bytes = 12 * element, .other_bytes = 16 * element};
    make_exchanger({});
  }

  void make_exchanger(std::optional<double> clip_norm) {
    exchanger_.reset();  // its hooks are on the parameters
    ExchangerParts parts{.parameters = parameters_,
                         .limits = limits_,
                         .clip_norm = clip_norm,
                         .optimizer = std::make_unique<RecordingOptimizer>(applied_),
                         .clock = clock_,
                         .watchdog = world().watchdog,
                         .ranks = world().ranks};
    exchanger_ = GetParam().solo ? make_solo_exchanger(std::move(parts)) : make_mpi_exchanger(std::move(parts));
  }

  int ranks() const { return world().ranks.world_size(); }
  int rank() const { return world().ranks.rank(); }
  bool last_rank() const { return rank() == ranks() - 1; }

  void backward(double factor) {
    at::Tensor loss = at::zeros({}, GetParam().type);
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      loss = loss + parameters_[i].tensor.sum() * (factor * static_cast<double>(i + 1));
    loss.backward();
  }

  /// One step; `factor` nothing: this rank has no samples.
  StepOutcome step(std::optional<double> factor, const StepVotes& votes = {}) {
    applied_.clear();
    exchanger_->begin_step(++step_, kGlobalSamples, 0.5);
    exchanger_->begin_pass(true);
    if (factor) backward(*factor);
    return exchanger_->finish_step(votes);
  }

  /// Every parameter was applied once, with (i + 1) * sum / kGlobalSamples in every element.
  void expect_mean(double sum) {
    std::vector<int> times(parameters_.size(), 0);
    for (const Applied& applied : applied_) {
      const double expected = static_cast<double>(applied.parameter + 1) * sum / kGlobalSamples;
      ++times[applied.parameter];
      EXPECT_EQ(applied.mean_gradient.sizes(), parameters_[applied.parameter].tensor.sizes());
      EXPECT_TRUE(applied.mean_gradient.eq(expected).all().item<bool>())
          << applied.mean_gradient << " but for " << expected;
      EXPECT_EQ(applied.learning_rate, 0.5);
    }
    EXPECT_EQ(times, std::vector<int>(parameters_.size(), 1));
    for (const Parameter& parameter : parameters_) EXPECT_FALSE(parameter.tensor.grad().defined());
  }

  LapClock clock_;
  BucketLimits limits_;
  std::vector<Parameter> parameters_;
  std::vector<Applied> applied_;
  std::unique_ptr<Exchanger> exchanger_;
  std::int64_t step_ = 0;
};

TEST_P(Exchange, SumsOverRanksAndTakesTheMeanOnce) {
  EXPECT_EQ(exchanger_->buckets(), 3);
  for (int repeat = 1; repeat <= 3; ++repeat) {
    step(repeat * (rank() + 1.0));
    expect_mean(repeat * ranks() * (ranks() + 1) / 2.0);
  }
}

TEST_P(Exchange, ARankWithoutSamplesBringsZeros) {
  step(5.0);  // what must not come back in the next step
  const bool empty = last_rank();
  step(empty ? std::nullopt : std::optional<double>(rank() + 1.0));
  expect_mean((ranks() - 1) * ranks() / 2.0);
}

TEST_P(Exchange, PassesOfAStepAddUp) {
  step(5.0);
  applied_.clear();
  exchanger_->begin_step(++step_, kGlobalSamples, 0.5);
  for (int pass = 0; pass < 3; ++pass) {
    exchanger_->begin_pass(pass == 2);
    const bool empty = pass == 2 && last_rank();  // it took part in the passes before
    if (!empty) backward(rank() + 1.0);
  }
  exchanger_->finish_step({});
  expect_mean(3 * ranks() * (ranks() + 1) / 2.0 - ranks());
}

TEST_P(Exchange, ClipsTheWholeMeanGradientToItsNorm) {
  // Elements by parameter 15, 7, 8, 11, 1 with gradients 1, 2, 3, 4, 5 times the mean of 1 + ... + ranks.
  const double norm = std::sqrt(15 * 1.0 + 7 * 4.0 + 8 * 9.0 + 11 * 16.0 + 25.0);
  const double unit = ranks() * (ranks() + 1) / 2.0 / kGlobalSamples;
  const auto first_of = [&](double limit) {
    make_exchanger(limit);
    step(rank() + 1.0);
    double squares = 0;
    for (const Applied& applied : applied_)
      squares += applied.mean_gradient.to(at::kDouble).square().sum().item<double>();
    return std::sqrt(squares);
  };
  EXPECT_NEAR(first_of(norm * unit / 2), norm * unit / 2, 1e-5);
  EXPECT_NEAR(first_of(norm * unit * 2), norm * unit, 1e-5);  // short enough as it is
}

TEST_P(Exchange, VotesTravelWithTheGradient) {
  const StepOutcome quiet = step(1.0, {.loss_sum = rank() + 1.0});
  EXPECT_DOUBLE_EQ(quiet.loss, ranks() * (ranks() + 1) / 2.0 / kGlobalSamples);
  EXPECT_FALSE(quiet.stop || quiet.budget != Budget::kLeft || quiet.failed);

  const StepOutcome stopped = step(1.0, {.loss_sum = 1, .stop = last_rank() ? 1 : 0});
  EXPECT_TRUE(stopped.stop && stopped.budget == Budget::kLeft && !stopped.failed);
  expect_mean(ranks());

  const StepOutcome out_of_time =
      step(1.0, {.loss_sum = 1, .budget = rank() == 0 ? Budget::kTimeSpent : Budget::kLeft});
  EXPECT_TRUE(out_of_time.budget == Budget::kTimeSpent && !out_of_time.stop && !out_of_time.failed);
}

TEST_P(Exchange, NothingIsAppliedWhenARankFailed) {
  EXPECT_TRUE(step(1.0, {.loss_sum = 1, .failed = last_rank() ? 1 : 0}).failed);
  EXPECT_TRUE(applied_.empty());
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(step(1.0, {.loss_sum = rank() == 0 ? infinite : 1}).failed);
  EXPECT_TRUE(applied_.empty());
  EXPECT_FALSE(step(1.0, {.loss_sum = 1}).failed);  // and the next step is as ever
  expect_mean(ranks());
}

TEST_P(Exchange, CountsWaitsAndBytes) {
  step(1.0);
  step(1.0);
  std::array<double, 2> values{rank() + 1.0, 1};
  exchanger_->allreduce_now(values);
  EXPECT_EQ(values[0], ranks() * (ranks() + 1) / 2.0);
  EXPECT_EQ(values[1], ranks());
  const std::size_t collectives = GetParam().solo ? 0 : 2 * 3 + 1;
  EXPECT_EQ(exchanger_->take_waits().size(), collectives);
  EXPECT_EQ(exchanger_->take_bytes_exchanged(), GetParam().solo ? 0 : 2 * exchanger_->gradient_bytes());
  EXPECT_TRUE(exchanger_->take_waits().empty());
  EXPECT_EQ(exchanger_->gradient_bytes(), 42 * static_cast<std::int64_t>(parameters_[0].tensor.element_size()));
}

INSTANTIATE_TEST_SUITE_P(Wires, Exchange,
                         testing::Values(Wire{"MpiFloat", at::kFloat, false}, Wire{"MpiDouble", at::kDouble, false},
                                         Wire{"SoloFloat", at::kFloat, true}, Wire{"SoloDouble", at::kDouble, true}),
                         [](const auto& tested) { return tested.param.name; });

TEST(BucketAgreement, NamesTheRankThatHasAnotherModel) {
  if (world().ranks.world_size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  const bool other = world().ranks.rank() == 1;
  std::vector<Parameter> parameters{{"p", at::zeros({other ? 5 : 4}).requires_grad_(true)}};
  std::vector<Applied> applied;
  LapClock clock;
  std::string message;
  try {
    make_mpi_exchanger(
        {parameters, {}, {}, std::make_unique<RecordingOptimizer>(applied), clock, world().watchdog, world().ranks});
  } catch (const CommError& error) {
    message = error.what();
  }
  EXPECT_NE(message.find("rank 1"), std::string::npos) << message;
}

}  // namespace
}  // namespace regatta
