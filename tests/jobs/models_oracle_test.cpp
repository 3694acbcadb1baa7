// Each model against PyTorch's own loss, gradients and weights after three steps of SGD (tests/oracle/models.py).

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "tests/jobs/model_oracle.hpp"

namespace regatta::test {
namespace {

/// torch.optim.SGD with the script's numbers, on a model alone.
class PlainSgd {
 public:
  explicit PlainSgd(Model& model) : model_(model), momentum_(model.parameters().size()) {}

  void step(std::int64_t samples) {
    const c10::NoGradGuard no_grad;
    for (std::size_t i = 0; i < momentum_.size(); ++i) {
      at::Tensor parameter = model_.parameters()[i].second;
      const at::Tensor gradient = parameter.grad() / samples;
      momentum_[i] = momentum_[i].defined() ? momentum_[i] * 0.9 + gradient : gradient;
      parameter.sub_(momentum_[i], 0.05);
      parameter.mutable_grad().reset();
    }
  }

 private:
  Model& model_;
  std::vector<at::Tensor> momentum_;
};

NamedTensors mean_gradients(const Model& model, std::int64_t samples) {
  NamedTensors gradients;
  for (const auto& [name, parameter] : model.parameters()) gradients.emplace_back(name, parameter.grad() / samples);
  return gradients;
}

/// Trains `steps` steps; every figure within `tolerance` of PyTorch's.
void expect_pytorchs(const std::string& name, Precision precision, int steps, double tolerance) {
  const OracleCase& oracle = oracle_case(name);
  const Expected expected(oracle);
  const auto model = oracle_model(oracle, precision);
  const OracleBatch batch = oracle_batch(oracle, precision, 0, oracle.batch);
  ASSERT_EQ(expected.tensors("grad"), model->parameters().size());
  ASSERT_EQ(expected.tensors("after3"), model->parameters().size() + model->buffers().size());
  PlainSgd sgd(*model);
  for (int step = 1; step <= steps; ++step) {
    const at::Tensor loss = loss_sum(model->forward(batch.inputs), batch.targets);
    loss.backward();
    const double mean_loss = loss.item<double>() / static_cast<double>(oracle.batch);
    const double expected_loss = expected.loss(static_cast<std::size_t>(step - 1));
    EXPECT_NEAR(mean_loss, expected_loss, tolerance * expected_loss) << "step " << step;
    if (step == 1) {
      EXPECT_LE(expected.difference("grad", mean_gradients(*model, oracle.batch)), tolerance);
    }
    sgd.step(oracle.batch);
    if (step == 2) continue;
    const std::string prefix = "after" + std::to_string(step);
    const double parameters = expected.difference(prefix, model->parameters());
    const double buffers = expected.difference(prefix, model->buffers());
    EXPECT_LE(parameters, tolerance) << "step " << step;
    EXPECT_LE(buffers, tolerance) << "step " << step;
    std::printf("%s step %d: largest relative difference %.2g, of buffers %.2g\n", name.c_str(), step, parameters,
                buffers);
  }
}

class ModelsOracle : public testing::TestWithParam<std::string> {};

TEST_P(ModelsOracle, StepsOfPyTorchInDouble) {
  expect_pytorchs(GetParam(), Precision::kFp64, 3, 1e-10);
}

TEST_P(ModelsOracle, StepsOfPyTorchInFloat) {
  const bool resnet = GetParam().ends_with("resnet18");  // batch norm amplifies rounding: one step, and not as near
  expect_pytorchs(GetParam(), Precision::kFp32, resnet ? 1 : 3, resnet ? 1e-4 : 1e-5);
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const OracleCase& oracle : oracle_cases()) names.push_back(oracle.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Models, ModelsOracle, testing::ValuesIn(case_names()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace regatta::test
