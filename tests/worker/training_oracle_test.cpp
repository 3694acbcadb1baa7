// Optimizers, clipping, accumulation and schedules against PyTorch's own numbers (tests/oracle/training.py), through
// the parts that a worker uses: model, schedule, exchanger with its clip and its rule.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>

#include <cmath>

#include "common/files.hpp"
#include "common/json.hpp"
#include "jobs/models.hpp"
#include "jobs/schedule.hpp"
#include "jobs/shares.hpp"
#include "jobs/spec_words.hpp"
#include "tests/support/formula.hpp"
#include "worker/clip.hpp"
#include "worker/exchanger.hpp"
#include "worker/lap_clock.hpp"
#include "worker/rank_context.hpp"
#include "worker/watchdog.hpp"

namespace regatta {
namespace {

constexpr std::int64_t kBatch = 6, kClasses = 5;

const Json& fixture() {
  static const Json json = parse_json(
      read_file(std::filesystem::path(REGATTA_SOURCE_DIR) / "tests/worker/fixtures/training.json"), "training.json");
  return json;
}

std::vector<double> flat(const std::vector<at::Tensor>& tensors) {
  std::vector<double> all;
  for (const at::Tensor& tensor : tensors) {
    const at::Tensor values = tensor.detach().to(at::kDouble).flatten();
    all.insert(all.end(), values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel());
  }
  return all;
}

/// The small mlp with formula weights, one rank's exchanger around it.
class SmallTraining {
 public:
  SmallTraining(const OptimizerSpec& optimizer, std::optional<double> clip_norm, std::int64_t accumulate,
                Precision precision)
      : clip_norm_(clip_norm), accumulate_(accumulate) {
    DatasetIndex data;
    data.sample_shape = {1, 3, 4};
    data.classes = kClasses;
    model_ = make_model({.kind = ModelKind::kMlp, .hidden = {8}}, data, precision, 1);
    std::vector<Parameter> parameters;
    const c10::NoGradGuard no_grad;
    std::int64_t number = 0;
    for (const auto& [name, tensor] : model_->parameters()) {
      const double fan_in = number < 2 ? 12 : 8;
      tensor.copy_(formula_tensor(number++, tensor.sizes()) / std::sqrt(fan_in));
      parameters.push_back({name, tensor});
    }
    type_ = parameters[0].tensor.scalar_type();
    exchanger_ = make_node_exchanger(
        {.parameters = parameters, .clip_norm = clip_norm, .clock = clock_, .watchdog = watchdog_, .ranks = *ranks_},
        optimizer);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      gradients_.push_back(at::zeros_like(parameters[i].tensor));
      parameters[i].tensor.register_hook([this, i](const at::Tensor& gradient) { gradients_[i].add_(gradient); });
    }
  }

  double step(std::int64_t number, double rate) {
    const at::Tensor inputs = formula_tensor(100 + number, {kBatch, 1, 3, 4}).to(type_);
    at::Tensor labels = at::empty({kBatch}, at::kLong);
    for (std::int64_t i = 0; i < kBatch; ++i) labels[i] = test::formula_label(200 + number, i, kClasses);
    exchanger_->begin_step(number + 1, kBatch, rate);
    for (at::Tensor& gradient : gradients_) gradient.zero_();
    double loss = 0;
    for (std::int64_t part = 0; part < accumulate_; ++part) {
      exchanger_->begin_pass(part + 1 == accumulate_);
      const PositionRange range = micro_batch({0, kBatch}, accumulate_, part);
      const at::Tensor sum = loss_sum(model_->forward(inputs.narrow(0, range.begin, range.size())),
                                      labels.narrow(0, range.begin, range.size()));
      sum.backward();
      loss += sum.item<double>();
    }
    return exchanger_->finish_step({.loss_sum = loss}).value().loss;
  }

  std::vector<double> weights() const {
    std::vector<at::Tensor> tensors;
    for (const auto& [name, tensor] : model_->parameters()) tensors.push_back(tensor);
    return flat(tensors);
  }
  /// Of the last step: autograd's, summed over its passes; then the mean, clipped.
  std::vector<double> gradients() const {
    for (const at::Tensor& gradient : gradients_) gradient.div_(kBatch);
    if (clip_norm_) clip_to_norm(gradients_, *clip_norm_);
    return flat(gradients_);
  }

 private:
  static at::Tensor formula_tensor(std::int64_t number, at::IntArrayRef shape) {
    at::Tensor tensor = at::empty(shape, at::kDouble);
    auto* values = tensor.mutable_data_ptr<double>();
    for (std::int64_t e = 0; e < tensor.numel(); ++e) values[e] = test::formula(number, e);
    return tensor;
  }

  std::optional<double> clip_norm_;
  std::int64_t accumulate_;
  at::ScalarType type_ = at::kDouble;
  LapClock clock_;
  Watchdog watchdog_{std::chrono::seconds(60), [](const std::string&) {}};
  std::unique_ptr<RankContext> ranks_ = make_solo_context();
  std::unique_ptr<Model> model_;
  std::vector<at::Tensor> gradients_;
  std::unique_ptr<Exchanger> exchanger_;
};

/// Norm of the difference over norm.
double distance(const std::vector<double>& found, const std::vector<double>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += (found.at(i) - expected[i]) * (found.at(i) - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference / norm);
}

OptimizerSpec optimizer_of(const Json& json) {
  OptimizerSpec spec = default_optimizer(kOptimizerKinds.from_json(json, "kind"));
  spec.weight_decay = 0;
  const Json& options = json_at(json, "options");
  spec.momentum = options.value("momentum", 0.0);
  spec.nesterov = options.value("nesterov", false);
  spec.weight_decay = options.value("weight_decay", 0.0);
  spec.betas = options.value("betas", spec.betas);
  spec.eps = options.value("eps", spec.eps);
  return spec;
}

class OptimizerOracle : public testing::TestWithParam<Json> {};

TEST_P(OptimizerOracle, ThreeStepsAsInPyTorch) {
  const Json& tested = GetParam();
  for (const auto& [precision, tolerance] : {std::pair{Precision::kFp64, 1e-10}, {Precision::kFp32, 1e-5}}) {
    SmallTraining training(optimizer_of(tested), json_maybe<double>(tested, "clip_norm"),
                           json_get<std::int64_t>(tested, "accumulate"), precision);
    const Json& expected = json_at(tested, to_text(precision));
    std::vector<double> losses;
    for (std::int64_t step = 0; step < 3; ++step) losses.push_back(training.step(step, json_get<double>(tested, "lr")));
    EXPECT_LE(distance(losses, expected["losses"]), tolerance) << to_text(precision);
    EXPECT_LE(distance(training.gradients(), expected["gradients"]), tolerance) << to_text(precision);
    EXPECT_LE(distance(training.weights(), expected["weights"]), tolerance) << to_text(precision);
  }
}

INSTANTIATE_TEST_SUITE_P(PyTorch, OptimizerOracle, testing::ValuesIn(fixture()["optimizers"]),
                         [](const auto& tested) { return tested.param["name"].template get<std::string>(); });

class ScheduleOracle : public testing::TestWithParam<Json> {};

TEST_P(ScheduleOracle, TwentyStepsAsInPyTorch) {
  const Json& tested = GetParam();
  const auto name = json_get<std::string>(tested, "name");
  const Json& options = tested["options"];
  ScheduleSpec schedule{.warmup_steps = json_get<std::int64_t>(tested, "warmup_steps")};
  if (name.starts_with("Step")) schedule.kind = ScheduleKind::kStep;
  if (name.starts_with("Cosine")) schedule.kind = ScheduleKind::kCosine;
  if (name.starts_with("OneCycle")) schedule.kind = ScheduleKind::kOneCycle;
  schedule.step_epochs = json_maybe<std::int64_t>(options, "step_epochs");
  schedule.gamma = json_maybe<double>(options, "gamma");
  schedule.min_lr = json_maybe<double>(options, "min_lr");
  schedule.max_lr = json_maybe<double>(options, "max_lr");

  SmallTraining training({.momentum = 0.9}, {}, 1, Precision::kFp64);
  std::vector<double> losses;
  for (std::int64_t step = 0; step < 20; ++step) {
    const double rate = learning_rate(schedule, json_get<double>(tested, "lr"), step, {5, 4});
    EXPECT_NEAR(rate, tested["rates"][static_cast<std::size_t>(step)].get<double>(), 1e-15) << "step " << step;
    losses.push_back(training.step(step, rate));
  }
  EXPECT_LE(distance(losses, tested["losses"]), 1e-10);
  EXPECT_LE(distance(training.weights(), tested["weights"]), 1e-10);
}

INSTANTIATE_TEST_SUITE_P(PyTorch, ScheduleOracle, testing::ValuesIn(fixture()["schedules"]),
                         [](const auto& tested) { return tested.param["name"].template get<std::string>(); });

}  // namespace
}  // namespace regatta
