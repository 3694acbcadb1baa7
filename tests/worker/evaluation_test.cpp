// Figures of a test set against the same sums taken here.

#include "worker/evaluation.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "tests/jobs/model_oracle.hpp"
#include "worker/lap_clock.hpp"
#include "worker/optimizer.hpp"
#include "worker/rank_context.hpp"

namespace regatta {
namespace {

/// The oracle's batch, sample by sample.
class OneByOne final : public EvaluationSource {
 public:
  explicit OneByOne(const test::OracleCase& oracle) : oracle_(oracle) {}
  std::int64_t batches() const override { return oracle_.batch; }
  void set_shares(std::span<const std::int64_t>) override {}
  const Batch& batch(std::int64_t index) override {
    const test::OracleBatch one = test::oracle_batch(oracle_, Precision::kFp64, index, 1);
    batch_.inputs = one.inputs;
    batch_.targets = one.targets;
    return batch_;
  }

 private:
  const test::OracleCase& oracle_;
  Batch batch_;
};

/// `ranks` holds the model's weights afterwards.
TestFigures figures_of(Model& model, const test::OracleCase& oracle, RankContext& ranks) {
  std::vector<Parameter> parameters;
  for (const auto& [name, tensor] : model.parameters()) parameters.push_back({name, tensor});
  LapClock clock;
  Watchdog watchdog(std::chrono::seconds(60), [](const std::string&) {});
  const auto exchanger = make_node_exchanger(
      {.parameters = parameters, .clock = clock, .watchdog = watchdog, .ranks = ranks}, OptimizerSpec{});
  OneByOne source(oracle);
  const auto figures = evaluate(model, source, *exchanger, oracle.batch, [] { return true; });
  EXPECT_TRUE(figures);
  return figures.value_or(TestFigures{});
}

TEST(Evaluation, CountsTheCharactersOfText) {
  const test::OracleCase& oracle = test::oracle_case("small_lstm");
  const auto model = test::oracle_model(oracle, Precision::kFp64);
  const auto ranks = make_solo_context();
  const TestFigures figures = figures_of(*model, oracle, *ranks);
  const c10::NoGradGuard no_grad;
  const test::OracleBatch all = test::oracle_batch(oracle, Precision::kFp64, 0, oracle.batch);
  const at::Tensor logits = model->forward(all.inputs), targets = all.targets.flatten();
  const double right = logits.argmax(1).eq(targets).to(at::kDouble).mean().item<double>();
  EXPECT_GT(right, 0) << "a comparison of zeros shows nothing";
  EXPECT_NEAR(figures.accuracy, right, 1e-12) << "of 4 x 9 characters";
  EXPECT_NEAR(figures.loss, at::cross_entropy_loss(logits, targets).item<double>(), 1e-12) << "torch's mean";
}

TEST(Evaluation, SeesRunningStatisticsAndThenTrainsOn) {
  const test::OracleCase& oracle = test::oracle_case("small_resnet18");
  const auto model = test::oracle_model(oracle, Precision::kFp64);
  const test::OracleBatch all = test::oracle_batch(oracle, Precision::kFp64, 0, oracle.batch);
  model->forward(all.inputs);
  const auto ranks = make_solo_context();
  const TestFigures figures = figures_of(*model, oracle, *ranks);
  EXPECT_TRUE(model->training());
  const c10::NoGradGuard no_grad;
  model->set_training(false);
  const double expected = loss_sum(model->forward(all.inputs), all.targets).item<double>();
  EXPECT_NEAR(figures.loss, expected / static_cast<double>(oracle.batch), 1e-12)
      << "one sample at a time: its own statistics would give another loss";
  EXPECT_EQ(model->buffers()[2].second.item<std::int64_t>(), 1) << "batches seen in training alone";
}

}  // namespace
}  // namespace regatta
