// The node's exchange against MPI's with every model, optimizer, clipping and accumulation: real gradients, weights
// compared by the norm of the difference over the norm.

#include <gtest/gtest.h>

#include <cmath>

#include "tests/jobs/model_oracle.hpp"
#include "tests/mpi/world.hpp"
#include "worker/exchanger.hpp"
#include "worker/lap_clock.hpp"
#include "worker/optimizer.hpp"

namespace regatta {
namespace {

using test::world;

struct Way {
  Precision precision = Precision::kFp64;
  OptimizerSpec rule;
  std::optional<double> clip_norm;
  std::int64_t passes = 1;
  int steps = 3;
};

/// This rank's end of a training; batch norm's statistics are over all ranks.
class OneRank {
 public:
  OneRank(const test::OracleCase& oracle, const Way& way, bool mpi)
      : oracle_(oracle), way_(way), model_(test::oracle_model(oracle, way.precision)) {
    std::vector<Parameter> parameters;
    for (const auto& [name, tensor] : model_->parameters()) parameters.push_back({name, tensor});
    ExchangerParts parts{.parameters = parameters,
                         .limits = {.first_bytes = 20'000, .other_bytes = 20'000},
                         .clip_norm = way.clip_norm,
                         .clock = clock_,
                         .watchdog = world().watchdog,
                         .ranks = world().ranks};
    exchanger_ = mpi ? make_mpi_exchanger(std::move(parts), make_optimizer(way.rule, parameters))
                     : make_node_exchanger(std::move(parts), way.rule);
    sum_ = [this](std::span<double> sums) { exchanger_->allreduce_now(sums); };
    model_->share_statistics(sum_);
  }

  /// Ranks share the batch as evenly as it goes, pass by pass.
  double step() {
    exchanger_->begin_step(++step_, oracle_.batch, way_.rule.lr);
    StepVotes votes;
    for (std::int64_t pass = 0; pass < way_.passes; ++pass) {
      exchanger_->begin_pass(pass + 1 == way_.passes);
      const std::int64_t parts = way_.passes * world().ranks.world_size();
      const std::int64_t part = pass * world().ranks.world_size() + world().ranks.rank();
      const std::int64_t begin = oracle_.batch * part / parts, end = oracle_.batch * (part + 1) / parts;
      if (begin == end && !model_->is_collective()) continue;
      const test::OracleBatch batch = test::oracle_batch(oracle_, way_.precision, begin, end - begin);
      const at::Tensor loss = loss_sum(model_->forward(batch.inputs), batch.targets);
      loss.backward();
      votes.loss_sum.add(loss);
    }
    return exchanger_->finish_step(votes).value().loss;
  }

  std::vector<Parameter> weights() const { return exchanger_->weights(); }

 private:
  const test::OracleCase& oracle_;
  const Way& way_;
  std::unique_ptr<Model> model_;
  LapClock clock_;
  std::unique_ptr<Exchanger> exchanger_;
  SumOverRanks sum_;
  std::int64_t step_ = 0;
};

void expect_same(const test::OracleCase& oracle, const Way& way, double tolerance, const std::string& where) {
  OneRank mpi(oracle, way, true), node(oracle, way, false);
  for (int step = 0; step < way.steps; ++step) {
    const double expected = mpi.step();
    EXPECT_NEAR(node.step(), expected, std::max(tolerance, 1e-10) * std::abs(expected)) << where << ", step " << step;
  }
  const auto expected = mpi.weights(), found = node.weights();
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += (found[i].tensor - expected[i].tensor).detach().to(at::kDouble).square().sum().item<double>();
    norm += expected[i].tensor.detach().to(at::kDouble).square().sum().item<double>();
  }
  EXPECT_LE(std::sqrt(difference / norm), tolerance) << where;
  world().ranks.barrier();  // weights are read before they go
}

const std::vector<std::pair<std::string, OptimizerSpec>> kRules = {
    {"sgd", {.lr = 0.05, .weight_decay = 0.01}},
    {"momentum", {.lr = 0.05, .momentum = 0.9}},
    {"nesterov", {.lr = 0.05, .momentum = 0.9, .nesterov = true}},
    {"adam", {.kind = OptimizerKind::kAdam, .lr = 0.01, .weight_decay = 0.01}},
    {"adamw", {.kind = OptimizerKind::kAdamw, .lr = 0.01, .weight_decay = 0.1}}};

class NodeModels : public testing::TestWithParam<const char*> {};

TEST_P(NodeModels, AreTheOraclesInFp64) {
  const test::OracleCase& oracle = test::oracle_case(GetParam());
  for (const auto& [name, rule] : kRules)
    for (const std::optional<double> clip_norm : {std::optional<double>(), std::optional<double>(0.1)})
      for (const std::int64_t passes : {1, 2})
        expect_same(oracle, {.rule = rule, .clip_norm = clip_norm, .passes = passes}, 1e-10,
                    name + (clip_norm ? ", clipped" : "") + (passes > 1 ? ", accumulated" : ""));
}

TEST_P(NodeModels, AreNearTheOraclesInFp32) {
  const test::OracleCase& oracle = test::oracle_case(GetParam());
  const bool rounding_grows = oracle.spec.kind == ModelKind::kResnet18;  // through batch norm: one step, as DESIGN says
  for (const auto& [name, rule] : kRules) {
    const double tolerance = rule.kind == OptimizerKind::kSgd ? 1e-6 : 1e-5;
    expect_same(oracle, {.precision = Precision::kFp32, .rule = rule, .steps = rounding_grows ? 1 : 3},
                rounding_grows ? 1e-4 : tolerance, name);
  }
}

INSTANTIATE_TEST_SUITE_P(Small, NodeModels, testing::Values("small_mlp", "small_cnn", "small_lstm", "small_resnet18"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace regatta
