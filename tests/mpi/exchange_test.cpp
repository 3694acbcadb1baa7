// Closed forms. The loss of rank r is the sum over parameters i of (r + 1)(i + 1) * sum(p_i), so that its gradient is
// (r + 1)(i + 1) everywhere and the sum over n ranks (i + 1) n (n + 1) / 2: small integers, exact in float.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <ostream>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "tests/mpi/exchangers.hpp"
#include "tests/mpi/small_model.hpp"
#include "tests/mpi/world.hpp"
#include "worker/exchanger.hpp"
#include "worker/lap_clock.hpp"
#include "worker/slice_kernels.hpp"

namespace regatta {
namespace {

using test::distance;
using test::ExchangeWay;
using test::LateOptions;
using test::MadeExchanger;
using test::make_exchanger;
using test::Rule;
using test::SmallModel;
using test::world;

constexpr std::int64_t kGlobalSamples = 8;  // a power of two: the mean is exact too
constexpr double kRate = 0.5;

/// Plain sgd, so that a step shows its mean gradient: what the weights lost, by the rate.
class Exchange : public testing::TestWithParam<ExchangeWay> {
 protected:
  void SetUp() override { make({}); }

  /// Anew, from zeros.
  void make(std::optional<double> clip_norm, std::int64_t every = 1) {
    made_ = {};  // its hooks are on the parameters
    parameters_.clear();
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{3, 5}, {7}, {2, 2, 2}, {11}, {1}})
      parameters_.push_back({"p", at::zeros(shape, GetParam().type).requires_grad_(true), GetParam().bf16});
    // 15 + 7 + 8 + 11 + 1 elements; limits that make three buckets of them on the wire, and five in shared memory.
    const auto element = static_cast<std::int64_t>(parameters_[0].tensor.element_size());
    limits_ = {.first_bytes = 12 * element, .other_bytes = 16 * element};
    ExchangeWay way = GetParam();
    way.every = every;
    made_ = make_exchanger(way,
                           {.parameters = parameters_,
                            .limits = limits_,
                            .clip_norm = clip_norm,
                            .clock = clock_,
                            .watchdog = world().watchdog,
                            .ranks = world().ranks},
                           {.lr = kRate});
    exchanger_ = made_.exchanger.get();
    before_ = weights();
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
    before_ = weights();
    exchanger_->begin_step(++step_, kGlobalSamples, kRate);
    exchanger_->begin_pass(true);
    if (factor) backward(*factor);
    return test::finish_and_settle(*exchanger_, votes);
  }

  std::vector<at::Tensor> weights() const {
    std::vector<at::Tensor> weights;
    for (const Parameter& parameter : exchanger_->weights()) weights.push_back(parameter.tensor.detach().clone());
    return weights;
  }

  /// Of the last step, by parameter.
  std::vector<at::Tensor> means() const {
    std::vector<at::Tensor> means = weights();
    for (std::size_t i = 0; i < means.size(); ++i) means[i] = (before_[i] - means[i]) / kRate;
    return means;
  }

  /// Every element lost (i + 1) * sum / kGlobalSamples.
  void expect_mean(double sum) {
    const std::vector<at::Tensor> found = means();
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double expected = static_cast<double>(i + 1) * sum / kGlobalSamples;
      EXPECT_TRUE(found[i].eq(expected).all().item<bool>()) << found[i] << " but for " << expected;
      EXPECT_TRUE(
          parameters_[i].tensor.detach().eq(weights()[i].to(parameters_[i].tensor.scalar_type())).all().item<bool>())
          << "the model computes with what was trained";
      EXPECT_FALSE(parameters_[i].tensor.grad().defined());
    }
    world().ranks.barrier();  // the next step writes what is read here
  }

  LapClock clock_;
  BucketLimits limits_;
  std::vector<Parameter> parameters_;
  std::vector<at::Tensor> before_;
  MadeExchanger made_;
  Exchanger* exchanger_ = nullptr;
  std::int64_t step_ = 0;
};

TEST_P(Exchange, SumsOverRanksAndTakesTheMeanOnce) {
  EXPECT_EQ(exchanger_->buckets(), GetParam().by_bucket() ? 3 : 5);
  for (int repeat = 1; repeat <= 3; ++repeat) {
    step(repeat * (rank() + 1.0));
    expect_mean(repeat * ranks() * (ranks() + 1) / 2.0);
  }
}

TEST_P(Exchange, BetweenNodesWeightsStayUntilBackwardEnds) {
  for (const std::int64_t every : {1, 2})
    for (const std::optional<double> clip_norm : {std::optional<double>(), std::optional(1e9)}) {
      make(clip_norm, every);
      const bool stay = exchanger_->writes_after_backward();
      EXPECT_EQ(stay, std::string(exchanger_->name()) == "cluster");
      if (!stay) return;
      for (int repeat = 0; repeat < 3; ++repeat) {
        const std::vector<at::Tensor> before = weights();
        exchanger_->bring_samples(kGlobalSamples / ranks());
        exchanger_->begin_step(++step_, kGlobalSamples, kRate);
        exchanger_->begin_pass(true);
        backward(1);
        world().ranks.barrier();  // nobody has more to publish before it finishes the step
        const std::vector<at::Tensor> after = weights();
        for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(before[i], after[i]));
        world().ranks.barrier();
        test::finish_and_settle(*exchanger_, {});
        EXPECT_FALSE(at::equal(before[0], weights()[0]));
        world().ranks.barrier();
      }
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
  before_ = weights();
  exchanger_->begin_step(++step_, kGlobalSamples, kRate);
  for (int pass = 0; pass < 3; ++pass) {
    exchanger_->begin_pass(pass == 2);
    const bool empty = pass == 2 && last_rank();  // it took part in the passes before
    if (!empty) backward(rank() + 1.0);
  }
  test::finish_and_settle(*exchanger_, {});
  expect_mean(3 * ranks() * (ranks() + 1) / 2.0 - ranks());
}

TEST_P(Exchange, ClipsTheWholeMeanGradientToItsNorm) {
  // Elements by parameter 15, 7, 8, 11, 1 with gradients 1, 2, 3, 4, 5 times the mean of 1 + ... + ranks.
  const double norm = std::sqrt(15 * 1.0 + 7 * 4.0 + 8 * 9.0 + 11 * 16.0 + 25.0);
  const double unit = ranks() * (ranks() + 1) / 2.0 / kGlobalSamples;
  const auto first_of = [&](double limit) {
    make(limit);
    step(rank() + 1.0);
    double squares = 0;
    for (const at::Tensor& mean : means()) squares += mean.to(at::kDouble).square().sum().item<double>();
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

TEST_P(Exchange, AFailureOfARankIsEverybodys) {
  StepVotes votes;
  for (const double part : {1.0, last_rank() ? std::nan("") : 2.0}) votes.loss_sum.add(at::full({}, part, at::kDouble));
  EXPECT_TRUE(step(1.0, votes).failed) << "a loss that is a tensor";
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(step(1.0, {.loss_sum = rank() == 0 ? infinite : 1}).failed);
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
  const std::size_t in_memory = ranks() == 1 ? 0 : 2 + 1;  // one wait a step
  EXPECT_EQ(exchanger_->take_waits().size(), GetParam().by_bucket() ? 2 * 3 + 1 : in_memory);
  EXPECT_TRUE(exchanger_->take_waits().empty());
  if (!GetParam().hosts.empty()) return;  // what travels between hosts: ClusterExchanger.SendsWhatItsWaySays
  // In memory a rank hands on what others own: over all ranks each gradient as often as there are others.
  std::array<double, 1> bytes{static_cast<double>(exchanger_->take_bytes_exchanged())};
  exchanger_->allreduce_now(bytes);
  const auto gradient = static_cast<double>(exchanger_->gradient_bytes());
  const double part = GetParam().wire == Wire::kSame ? 1 : 2.0 / static_cast<double>(elementSize(GetParam().type));
  EXPECT_EQ(bytes[0], 2 * gradient * part * (GetParam().by_bucket() ? ranks() : ranks() - 1));
  EXPECT_EQ(gradient, 42 * static_cast<double>(parameters_[0].tensor.element_size()));
}

TEST_P(Exchange, SumsManyNumbersAtOnce) {
  std::vector<double> values(10'000);
  for (int repeat = 0; repeat < 5; ++repeat) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) * (rank() + 1) + repeat;
    exchanger_->allreduce_now(values);
    for (std::size_t i = 0; i < values.size(); i += 777)
      EXPECT_EQ(values[i], static_cast<double>(i) * ranks() * (ranks() + 1) / 2 + repeat * ranks());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ways, Exchange,
    testing::Values(
        ExchangeWay{.name = "MpiFloat", .type = at::kFloat, .mpi = true},
        ExchangeWay{.name = "MpiDouble", .type = at::kDouble, .mpi = true},
        ExchangeWay{.name = "NodeFloat", .type = at::kFloat}, ExchangeWay{.name = "NodeDouble", .type = at::kDouble},
        ExchangeWay{.name = "NodeBf16", .type = at::kFloat, .bf16 = true},
        ExchangeWay{.name = "NodeOfTwoDomains", .type = at::kFloat, .two_domains = true},
        ExchangeWay{.name = "NodeBf16OfTwoDomains", .type = at::kFloat, .bf16 = true, .two_domains = true},
        ExchangeWay{
            .name = "NodeWithPlainStores", .type = at::kFloat, .node = {.streaming_stores = false, .kernels = "plain"}},
        ExchangeWay{.name = "ClusterFloat", .type = at::kFloat, .hosts = {0, 1, 2, 3}},
        ExchangeWay{.name = "ClusterDouble", .type = at::kDouble, .hosts = {0, 0, 1, 2}},
        ExchangeWay{.name = "ClusterOfTwo", .type = at::kFloat, .hosts = {0, 1, 0, 1}},
        ExchangeWay{.name = "ClusterUneven", .type = at::kFloat, .hosts = {0, 1, 1, 1}},
        ExchangeWay{.name = "ClusterThatSwaps", .type = at::kFloat, .hosts = {0, 1, 1, 2}, .swap_bytes = 1 << 20},
        ExchangeWay{.name = "ClusterBf16", .type = at::kFloat, .bf16 = true, .hosts = {0, 1, 1, 2}},
        ExchangeWay{.name = "ClusterBf16Wire", .type = at::kFloat, .wire = Wire::kBf16, .hosts = {0, 1, 2, 2}},
        ExchangeWay{.name = "ClusterBf16WireThatSwaps",
                    .type = at::kFloat,
                    .wire = Wire::kBf16,
                    .hosts = {0, 1, 2, 3},
                    .swap_bytes = 1 << 20},
        ExchangeWay{.name = "ClusterOfOneHost", .type = at::kFloat, .hosts = {7, 7, 7, 7}},
        ExchangeWay{.name = "DeviceFloat", .type = at::kFloat, .device = LateOptions{}},
        ExchangeWay{.name = "DeviceDouble", .type = at::kDouble, .device = LateOptions{}},
        ExchangeWay{.name = "DeviceOfLateSums", .type = at::kFloat, .device = LateOptions{.late_exchange = true}},
        ExchangeWay{.name = "DeviceOfLateWork", .type = at::kFloat, .device = LateOptions{.late_compute = true}},
        ExchangeWay{.name = "DeviceBf16Wire",
                    .type = at::kFloat,
                    .device = LateOptions{.late_exchange = true},
                    .wire = Wire::kBf16},
        ExchangeWay{.name = "MixedFloat", .type = at::kFloat, .device = LateOptions{}, .cpu_ranks = 1},
        ExchangeWay{.name = "MixedDouble", .type = at::kDouble, .device = LateOptions{}, .cpu_ranks = 2},
        ExchangeWay{.name = "MixedWithOneGpu", .type = at::kFloat, .device = LateOptions{}, .cpu_ranks = 3},
        ExchangeWay{.name = "MixedOfLateSums",
                    .type = at::kFloat,
                    .device = LateOptions{.late_compute = true, .late_exchange = true},
                    .cpu_ranks = 2},
        ExchangeWay{.name = "MixedBf16Wire",
                    .type = at::kFloat,
                    .device = LateOptions{.late_exchange = true},
                    .wire = Wire::kBf16,
                    .cpu_ranks = 2}),
    [](const auto& tested) { return tested.param.name; });

/// Where nodes have equal and unequal numbers of ranks, one after the other or not.
const std::vector<std::vector<int>> kHosts = {{0, 1, 2, 3}, {0, 0, 1, 1}, {0, 1, 0, 1}, {0, 0, 1, 2}, {2, 1, 1, 1}};

class NodeAgainstMpi : public testing::TestWithParam<Rule> {
 protected:
  static std::vector<at::Tensor> trained(const ExchangeWay& way) { return test::trained(way, GetParam(), /*steps=*/3); }
  /// On every rank, and again.
  static void expect_the_same_bits(const ExchangeWay& way, const std::optional<ExchangeWay>& other = {}) {
    std::string bits;
    for (const ExchangeWay& tried : {way, other.value_or(way)}) {
      std::string found;
      for (const at::Tensor& tensor : trained(tried)) {
        const at::Tensor dense = tensor.contiguous();
        found += xxh3_hex({static_cast<const char*>(dense.const_data_ptr()), dense.nbytes()});
      }
      if (bits.empty()) bits = world().ranks.broadcast(found);  // rank 0's
      EXPECT_EQ(found, bits) << tried.name << " " << testing::PrintToString(tried.hosts);
    }
  }
};

TEST_P(NodeAgainstMpi, GivesTheSameWeights) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    const auto expected = trained({.name = "mpi", .type = type, .mpi = true});
    for (const SliceKernels* kernels : slice_kernels())
      for (const bool two_domains : {false, true}) {
        const ExchangeWay way{
            .name = "node", .type = type, .node = {.kernels = kernels->name}, .two_domains = two_domains};
        EXPECT_LE(distance(trained(way), expected), type == at::kDouble ? 1e-10 : GetParam().float_tolerance())
            << kernels->name;
      }
    for (const auto& hosts : kHosts)
      for (const std::int64_t swap_bytes : {0, 1 << 20}) {
        const ExchangeWay way{.name = "cluster", .type = type, .hosts = hosts, .swap_bytes = swap_bytes};
        EXPECT_LE(distance(trained(way), expected), type == at::kDouble ? 1e-10 : GetParam().float_tolerance())
            << testing::PrintToString(hosts);
      }
  }
}

TEST_P(NodeAgainstMpi, GivesTheSameBitsAgainAndOnEveryRank) {
  expect_the_same_bits({.name = "node", .type = at::kFloat});
  for (const auto& hosts : kHosts) {
    const ExchangeWay swaps{.name = "swaps", .type = at::kFloat, .hosts = hosts, .swap_bytes = 1 << 20};
    expect_the_same_bits(swaps, ExchangeWay{.name = "adds up parts", .type = at::kFloat, .hosts = hosts});
    for (const std::int64_t swap_bytes : {0, 1 << 20})
      expect_the_same_bits(
          {.name = "bf16 wire", .type = at::kFloat, .wire = Wire::kBf16, .hosts = hosts, .swap_bytes = swap_bytes});
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, NodeAgainstMpi, testing::ValuesIn(test::rules()),
                         [](const auto& tested) { return tested.param.name; });

TEST(NodeExchanger, RefusesTiedWeights) {
  const at::Tensor tensor = at::zeros({4});
  const std::vector<Parameter> parameters{{"encoder.weight", tensor.detach().requires_grad_(true)},
                                          {"decoder.weight", tensor.detach().requires_grad_(true)}};
  LapClock clock;
  std::string message;
  try {
    make_node_exchanger(
        {.parameters = parameters, .clock = clock, .watchdog = world().watchdog, .ranks = world().ranks}, {});
  } catch (const ConfigError& error) {
    message = error.what();
  }
  EXPECT_NE(message.find("encoder.weight and decoder.weight are one tensor"), std::string::npos) << message;
}

TEST(BucketAgreement, NamesTheRankThatHasAnotherModel) {
  if (world().ranks.world_size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  const bool other = world().ranks.rank() == 1;
  for (const bool mpi : {true, false}) {
    const std::vector<Parameter> parameters{{"p", at::zeros({other ? 5 : 4}).requires_grad_(true)}};
    LapClock clock;
    std::string message;
    try {
      make_exchanger({.name = "", .type = at::kFloat, .mpi = mpi},
                     {.parameters = parameters, .clock = clock, .watchdog = world().watchdog, .ranks = world().ranks},
                     {});
    } catch (const CommError& error) {
      message = error.what();
    }
    EXPECT_NE(message.find("rank 1"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace regatta
