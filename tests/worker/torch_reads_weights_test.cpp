// weights.safetensors in PyTorch: load_state_dict(strict=True), the same logits, and back again.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>

#include <cstdlib>

#include "jobs/safetensors.hpp"
#include "jobs/start_weights.hpp"
#include "tests/jobs/model_oracle.hpp"
#include "tests/support/process.hpp"
#include "worker/weights.hpp"

namespace regatta::test {
namespace {

namespace fs = std::filesystem;

/// $REGATTA_PYTHON or python3; nothing when it has no torch.
std::optional<std::string> python_with_torch() {
  const char* const chosen = std::getenv("REGATTA_PYTHON");
  const std::string python = chosen != nullptr ? chosen : "python3";
  const ProcessResult asked = run({"/bin/sh", "-c", python + " -c 'import numpy, torch'"});
  return asked.exit_code == 0 ? std::optional(python) : std::nullopt;
}

std::vector<double> to_list(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<double>(), tensor.const_data_ptr<double>() + tensor.numel()};
}

TEST(TorchReadsWeights, StrictlyAndWritesThemBack) {
  const auto python = python_with_torch();
  if (!python) GTEST_SKIP() << "needs python3 with torch and numpy, or REGATTA_PYTHON";
  for (const char* name : {"small_mlp", "small_cnn", "small_resnet18", "small_lstm"}) {
    const TemporaryFolder folder;
    const OracleCase& oracle = oracle_case(name);
    const auto model = oracle_model(oracle, Precision::kFp64);
    const OracleBatch batch = oracle_batch(oracle, Precision::kFp64, 0, oracle.batch);
    const c10::NoGradGuard no_grad;
    model->forward(batch.inputs);  // so that running statistics are not the first ones
    Plan plan;
    plan.training.model = oracle.spec;
    std::vector<Parameter> parameters;
    for (const auto& [parameter, tensor] : model->parameters()) parameters.push_back({parameter, tensor});
    write_weights(folder.path(), parameters, model->buffers(), plan);
    model->set_training(false);
    const std::vector<double> expected = to_list(model->forward(batch.inputs).contiguous());

    const fs::path file = folder.path() / "weights.safetensors", back = folder.path() / "back.safetensors";
    const ProcessResult loaded =
        run({*python, REGATTA_SOURCE_DIR "/tests/oracle/load_weights.py", name, file.string(), back.string()}, {},
            std::chrono::minutes(2));
    ASSERT_EQ(loaded.exit_code, 0) << loaded.text();
    const auto found = parse_json(loaded.out, "logits").get<std::vector<double>>();
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-12) << name;

    const SafetensorsFile returned = read_safetensors(back), written = read_safetensors(file);
    EXPECT_FALSE(weights_misfit(model_layout(oracle.spec, oracle.data), returned)) << name;
    ASSERT_EQ(returned.tensors.size(), written.tensors.size());
    for (const TensorView& a : written.tensors)
      for (const TensorView& b : returned.tensors)
        if (a.name == b.name) {
          EXPECT_TRUE(std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end())) << a.name;
        }
  }
}

}  // namespace
}  // namespace regatta::test
