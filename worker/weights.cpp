#include "worker/weights.hpp"

#include <ATen/ATen.h>

#include <cstddef>
#include <span>
#include <vector>

#include "common/files.hpp"
#include "common/hash.hpp"
#include "jobs/safetensors.hpp"
#include "worker/tensor_types.hpp"

namespace regatta {

namespace {

constexpr int kResultSchema = 1;

const char* status_word(ExitCode code) {
  if (code == ExitCode::kDone) return "done";
  return code == ExitCode::kStoppedOnRequest ? "stopped" : "failed";
}

Json weights_json(const std::optional<WeightsFile>& weights) {
  if (!weights) return nullptr;
  return {{"file", weights->file}, {"bytes", weights->bytes}, {"xxh3", weights->xxh3}};
}

Json maybe_number(const std::optional<double>& value) {
  return value ? number_or_null(*value) : Json(nullptr);
}

}  // namespace

WeightsFile write_weights(const fs::path& run_dir, const std::vector<Parameter>& parameters,
                          const NamedTensors& buffers, const Plan& plan) {
  std::vector<at::Tensor> tensors;  // keeps contiguous copies alive while they are written
  std::vector<TensorView> views;
  const auto add = [&](const std::string& name, const at::Tensor& source) {
    const at::Tensor& tensor = tensors.emplace_back(source.detach().cpu().contiguous());
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes());
    views.push_back({name, dtype_word(tensor.scalar_type()), tensor.sizes().vec(), bytes});
  };
  for (const Parameter& parameter : parameters) add(parameter.name, parameter.tensor);
  for (const auto& [name, tensor] : buffers) add(name, tensor);
  WeightsFile written{.file = "weights.safetensors"};
  const fs::path path = run_dir / written.file;
  // No run id: equal trainings leave equal bytes, and result.json says whose they are.
  write_safetensors(path, views, {{"model", to_text(plan.training.model.kind)}});
  written.bytes = static_cast<std::int64_t>(fs::file_size(path));
  written.xxh3 = xxh3_file_hex(path);
  return written;
}

Json result_json(const Plan& plan, const TrainingResult& result, const std::string& message, double wall_s,
                 const std::optional<WeightsFile>& weights) {
  return {{"schema", kResultSchema},
          {"run_id", plan.run.value},
          {"attempt", plan.attempt},
          {"status", status_word(result.exit_code)},
          {"reason", result.reason},
          {"message", message},
          {"exit_code", static_cast<int>(result.exit_code)},
          {"epochs", result.epochs},
          {"steps", result.steps},
          {"train_loss", number_or_null(result.train_loss)},
          {"test_loss", maybe_number(result.test_loss)},
          {"test_accuracy", maybe_number(result.test_accuracy)},
          {"wall_s", wall_s},
          {"weights", weights_json(weights)}};
}

void write_result(const fs::path& run_dir, const Json& result) {
  write_file_atomically(run_dir / "result.json", result.dump(2) + "\n");
}

}  // namespace regatta
