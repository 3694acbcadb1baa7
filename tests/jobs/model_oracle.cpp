#include "tests/jobs/model_oracle.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/error.hpp"
#include "jobs/model_layout.hpp"
#include "jobs/safetensors.hpp"
#include "tests/support/formula.hpp"

namespace regatta::test {
namespace {

constexpr std::int64_t kTargets = 1001, kEntries = 64;  // as in tests/oracle/models.py

OracleCase samples(const char* name, const ModelSpec& spec, std::int64_t batch, std::vector<std::int64_t> shape,
                   std::int64_t classes, std::int64_t inputs = 1000) {
  OracleCase oracle{.name = name, .spec = spec, .batch = batch, .inputs = inputs};
  oracle.data.sample_shape = std::move(shape);
  oracle.data.classes = classes;
  return oracle;
}

/// What the script's begin() makes of the formula.
double scaled(const TensorLayout& layout, double value) {
  switch (layout.start) {
    case TensorLayout::Start::kUniform:
      return value * layout.bound;
    case TensorLayout::Start::kNormal:
      return value;
    case TensorLayout::Start::kOnes:
      return 1 + 0.1 * value;
    case TensorLayout::Start::kZeros:
      return 0.1 * value;
  }
  return 0;
}

std::vector<double> to_list(const at::Tensor& tensor) {
  const at::Tensor exact = tensor.detach().to(at::kDouble).contiguous();
  return {exact.const_data_ptr<double>(), exact.const_data_ptr<double>() + exact.numel()};
}

double norm(const std::vector<double>& values, std::size_t from = 0) {
  double sum = 0;
  for (std::size_t i = from; i < values.size(); ++i) sum += values[i] * values[i];
  return std::sqrt(sum);
}

/// The script's shown() for a model of full size.
std::vector<double> norm_and_entries(const std::vector<double>& values) {
  std::vector<double> shown{norm(values)};
  const auto count = static_cast<std::int64_t>(values.size()), entries = std::min(count, kEntries);
  for (std::int64_t i = 0; i < entries; ++i) shown.push_back(values[static_cast<std::size_t>(i * count / entries)]);
  return shown;
}

/// ||a - b|| / ||b|| of the elements from `from` on; 0 for two that are both 0.
double relative(const std::vector<double>& a, const std::vector<double>& b, std::size_t from = 0) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  std::vector<double> difference(a);
  for (std::size_t i = 0; i < b.size(); ++i) difference[i] -= b[i];
  const double distance = norm(difference, from);
  return distance == 0 ? 0 : distance / norm(b, from);
}

}  // namespace

const std::vector<OracleCase>& oracle_cases() {
  static const std::vector<OracleCase> cases = [] {
    const ModelSpec mlp{.kind = ModelKind::kMlp, .hidden = {9, 7}}, cnn{.kind = ModelKind::kCnn, .channels = {3, 4}},
        resnet18{.kind = ModelKind::kResnet18, .channels = {3, 4, 5, 6}},
        lstm{.kind = ModelKind::kLstm, .embedding = 5, .hidden_size = 6, .layers = 2};
    return std::vector<OracleCase>{samples("small_mlp", mlp, 6, {1, 5, 4}, 4),
                                   samples("full_mlp", {.kind = ModelKind::kMlp}, 8, {1, 28, 28}, 10),
                                   samples("small_cnn", cnn, 6, {2, 10, 9}, 5),
                                   samples("full_cnn", {.kind = ModelKind::kCnn}, 8, {1, 28, 28}, 10),
                                   samples("small_resnet18", resnet18, 6, {2, 11, 9}, 5),
                                   samples("full_resnet18", {.kind = ModelKind::kResnet18}, 2, {3, 32, 32}, 10, 2015),
                                   samples("small_lstm", lstm, 4, {9}, 7),
                                   samples("full_lstm", {.kind = ModelKind::kLstm}, 3, {64}, 65)};
  }();
  return cases;
}

const OracleCase& oracle_case(const std::string& name) {
  const auto& cases = oracle_cases();
  const auto found = std::find_if(cases.begin(), cases.end(), [&](const auto& oracle) { return oracle.name == name; });
  REGATTA_ENSURE(found != cases.end(), "no such case: " + name);
  return *found;
}

std::unique_ptr<Model> oracle_model(const OracleCase& oracle, Precision precision) {
  at::set_num_threads(1);  // the script's, and test programs run side by side
  auto model = make_model(oracle.spec, oracle.data, precision, 1);
  const c10::NoGradGuard no_grad;
  std::size_t i = 0;
  for (const TensorLayout& layout : model_layout(oracle.spec, oracle.data)) {
    if (!layout.trained()) continue;
    at::Tensor exact = at::empty(layout.shape, at::kDouble);
    for (std::int64_t e = 0; e < exact.numel(); ++e)
      exact.mutable_data_ptr<double>()[e] = scaled(layout, formula(static_cast<std::int64_t>(i), e));
    at::Tensor parameter = model->parameters()[i++].second;
    parameter.copy_(exact);
  }
  return model;
}

OracleBatch oracle_batch(const OracleCase& oracle, Precision precision, std::int64_t first, std::int64_t count) {
  const bool text = oracle.data.is_text();
  std::vector<std::int64_t> shape = oracle.data.sample_shape;
  shape.insert(shape.begin(), oracle.batch);
  at::Tensor inputs = at::empty(shape, text ? at::kLong : at::kDouble);
  for (std::int64_t e = 0; e < inputs.numel(); ++e) {
    if (text)
      inputs.mutable_data_ptr<std::int64_t>()[e] = formula_label(oracle.inputs, e, oracle.data.classes);
    else
      inputs.mutable_data_ptr<double>()[e] = formula(oracle.inputs, e);
  }
  at::Tensor targets = text ? at::empty(shape, at::kLong) : at::empty({oracle.batch}, at::kLong);
  for (std::int64_t e = 0; e < targets.numel(); ++e)
    targets.mutable_data_ptr<std::int64_t>()[e] = formula_label(kTargets, e, oracle.data.classes);
  if (!text && precision != Precision::kFp64) inputs = inputs.to(at::kFloat);
  return {inputs.narrow(0, first, count), targets.narrow(0, first, count)};
}

Expected::Expected(const OracleCase& oracle) : whole_(oracle.name.starts_with("small")) {
  const SafetensorsFile file =
      read_safetensors(REGATTA_SOURCE_DIR "/tests/jobs/fixtures/" + oracle.name + ".safetensors");
  for (const TensorView& tensor : file.tensors) {
    std::vector<double>& values = values_[tensor.name];
    values.resize(tensor.bytes.size() / sizeof(double));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  }
}

double Expected::loss(std::size_t step) const {
  return values_.at("loss").at(step);
}

double Expected::difference(const std::string& prefix, const NamedTensors& found) const {
  double largest = 0;
  for (const auto& [name, tensor] : found) {
    const auto expected = values_.find(prefix + "/" + name);
    if (expected == values_.end()) return std::numeric_limits<double>::infinity();
    const std::vector<double> values = to_list(tensor);
    const std::vector<double> shown = whole_ ? values : norm_and_entries(values);
    largest = std::max(largest, relative(shown, expected->second, whole_ ? 0 : 1));
    if (!whole_) largest = std::max(largest, std::abs(shown[0] - expected->second[0]) / expected->second[0]);
  }
  return largest;
}

std::size_t Expected::tensors(const std::string& prefix) const {
  return static_cast<std::size_t>(std::count_if(
      values_.begin(), values_.end(), [&](const auto& entry) { return entry.first.starts_with(prefix + "/"); }));
}

}  // namespace regatta::test
