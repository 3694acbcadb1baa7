#include "tests/mpi/small_model.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <ostream>

#include "tests/support/formula.hpp"

namespace regatta::test {
namespace {

at::Tensor drawn(at::IntArrayRef shape, std::int64_t number) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  for (std::int64_t e = 0; e < tensor.numel(); ++e) tensor.mutable_data_ptr<double>()[e] = formula(number, e);
  return tensor;
}

}  // namespace

SmallModel::SmallModel(at::ScalarType type, std::optional<double> clip_norm, const Make& make, Watchdog& watchdog) {
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{100, 33}, {257}, {8, 4, 3, 3}, {1}, {1000}}) {
    at::Tensor tensor = drawn(shape, static_cast<std::int64_t>(parameters_.size())).to(type);
    if (shape.size() == 4) tensor = tensor.contiguous(at::MemoryFormat::ChannelsLast);
    parameters_.push_back({"p", tensor.requires_grad_(true)});
  }
  made_ = make({.parameters = parameters_,
                .limits = {.first_bytes = 4000, .other_bytes = 4000},
                .clip_norm = clip_norm,
                .clock = clock_,
                .watchdog = watchdog,
                .ranks = world().ranks});
}

SmallModel::SmallModel(const ExchangeWay& way, const OptimizerSpec& rule, std::optional<double> clip_norm)
    : SmallModel(way.type, clip_norm,
                 [&](ExchangerParts parts) { return make_exchanger(way, std::move(parts), rule); }) {}

std::optional<StepOutcome> SmallModel::step(std::int64_t passes, const StepVotes& votes) {
  ++step_;
  const int ranks = world().ranks.world_size();
  exchanger().bring_samples(kGlobalSamples / ranks + (world().ranks.rank() == 0 ? kGlobalSamples % ranks : 0));
  exchanger().begin_step(step_, kGlobalSamples, 0.01 * static_cast<double>(step_));
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    exchanger().begin_pass(pass + 1 == passes);
    if (before_backward) before_backward();
    backward(pass);
  }
  return exchanger().finish_step(votes);
}

void SmallModel::backward(std::int64_t pass) {
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    const at::Tensor& p = parameters_[i].tensor;
    const std::int64_t number = ((world().ranks.rank() * 100 + step_) * 10 + pass) * 10 + static_cast<std::int64_t>(i);
    const at::Tensor gradient = (drawn(p.sizes(), 100 + number) + 1.5).to(p.scalar_type());
    p.view_as(p).backward(scaled(p, gradient));  // no weight is read
  }
}

/// Where the device would make it: the scale is a number of the device. In the parameter's layout autograd keeps it as
/// it is, and unread; a model with a device of its own waits for it, for hooks and sums of passes.
at::Tensor SmallModel::scaled(const at::Tensor& parameter, const at::Tensor& gradient) {
  if (made_.loss_scale == nullptr) return gradient;
  const at::Tensor made = at::empty_like(parameter.detach());
  made_.runs_on->launch(Stream::kCompute, [made, gradient, scale = made_.loss_scale] {
    made.copy_(gradient * scale->loss_gradient(kGlobalSamples));
  });
  if (made_.device) made_.device->finish_compute();
  return made;
}

std::vector<at::Tensor> SmallModel::weights() const {
  std::vector<at::Tensor> weights;
  made_.exchanger->settle();
  for (const Parameter& parameter : made_.exchanger->weights()) weights.push_back(parameter.tensor.detach().clone());
  return weights;
}

double distance(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]).to(at::kDouble).square().sum().item<double>();
    norm += b[i].to(at::kDouble).square().sum().item<double>();
  }
  return std::sqrt(difference / norm);
}

std::vector<at::Tensor> trained(const ExchangeWay& way, const Rule& rule, int steps) {
  SmallModel model(way, rule.spec, rule.clip_norm);
  for (int step = 0; step < steps; ++step) model.step(rule.passes);
  return model.weights();
}

void PrintTo(const Rule& rule, std::ostream* out) {
  *out << rule.name;
}

std::vector<Rule> rules() {
  return {{"Sgd", {}},
          {"Decay", {.weight_decay = 0.1}},
          {"Momentum", {.momentum = 0.9}},
          {"Nesterov", {.momentum = 0.9, .weight_decay = 0.01, .nesterov = true}},
          {"Adam", {.kind = OptimizerKind::kAdam, .weight_decay = 0.1}},
          {"Adamw", {.kind = OptimizerKind::kAdamw, .weight_decay = 0.1}},
          {"Clipped", {.momentum = 0.9}, 0.5},
          {"ClippedAdam", {.kind = OptimizerKind::kAdam}, 0.5},
          {"Accumulated", {.momentum = 0.9}, {}, 3},
          {"AccumulatedAndClipped", {}, 0.5, 3}};
}

}  // namespace regatta::test
