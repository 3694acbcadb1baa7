#include "worker/micro_batch.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <vector>

#include "jobs/shares.hpp"
#include "worker/failure.hpp"

namespace regatta {

namespace {

/// Tensors beside each parameter that the rule keeps: momentum; the means of gradient and square.
std::int64_t states_of(const OptimizerSpec& optimizer) {
  if (optimizer.kind != OptimizerKind::kSgd) return 2;
  return optimizer.momentum != 0 ? 1 : 0;
}

at::Tensor state_to_come(const Plan& plan, const Model& model) {
  std::int64_t bytes = 0;
  for (const auto& [name, tensor] : model.parameters()) bytes += static_cast<std::int64_t>(tensor.nbytes());
  return at::empty({bytes * states_of(plan.training.train.optimizer)},
                   at::TensorOptions(at::kByte).device(model.parameters()[0].second.device()));
}

void try_pass(const Plan& plan, Model& model, Exchanger& exchanger, std::int64_t samples) {
  const auto device = model.parameters()[0].second.device();
  const auto zeros = [&](std::vector<std::int64_t> shape, at::ScalarType type) {
    shape.insert(shape.begin(), samples);
    return at::zeros(shape, at::TensorOptions(type).device(device));
  };
  const bool text = plan.dataset.is_text();
  const at::ScalarType images = plan.training.train.precision == Precision::kFp64 ? at::kDouble : at::kFloat;
  const at::Tensor state = state_to_come(plan, model);
  const at::Tensor inputs = zeros(plan.dataset.sample_shape, text ? at::kLong : images);
  const at::Tensor targets = zeros(
      text ? std::vector<std::int64_t>{plan.dataset.targets_per_sample()} : std::vector<std::int64_t>{}, at::kLong);
  exchanger.begin_pass(/*last=*/false);  // gradients stay with autograd
  loss_sum(model.forward(inputs), targets).backward();
}

}  // namespace

bool pass_fits(const Plan& plan, Model& model, Exchanger& exchanger, std::int64_t samples) {
  std::vector<at::Tensor> before;
  for (const auto& [name, buffer] : model.buffers()) before.push_back(buffer.clone());
  const auto restore = [&] {
    const c10::NoGradGuard no_grad;
    for (std::size_t i = 0; i < before.size(); ++i) model.buffers()[i].second.copy_(before[i]);
    for (const auto& [name, parameter] : model.parameters()) parameter.mutable_grad().reset();
  };
  try {
    try_pass(plan, model, exchanger, samples);
  } catch (...) {
    restore();
    if (lack_of_memory()) return false;
    throw;
  }
  restore();
  return true;
}

std::int64_t most_that_fit(std::int64_t most, const std::function<bool(std::int64_t samples)>& fits) {
  for (std::int64_t samples = most; samples >= 1; samples = (samples + 1) / 2) {
    if (fits(samples)) return samples;
    if (samples == 1) break;
  }
  return 0;
}

std::int64_t largest_part(const Plan& plan) {
  const TrainSpec& train = plan.training.train;
  const PositionRange batch = global_batch(plan.dataset.train_count, train.batch, 0);
  std::int64_t largest = 1;
  for (std::int64_t part = 0; part < train.accumulate; ++part)
    largest = std::max(largest, passes_of(micro_batch(batch, train.accumulate, part).size(), plan.shares, /*most=*/1));
  return largest;
}

std::int64_t find_micro_batch(const Plan& plan, Model& model, Exchanger& exchanger, RankContext& ranks) {
  const std::int64_t most = largest_part(plan);
  const std::int64_t found = most_that_fit(most, [&](std::int64_t samples) {
    std::array<double, 1> lacking{0};
    agree(ranks, [&] { lacking[0] = pass_fits(plan, model, exchanger, samples) ? 0 : 1; });
    ranks.allreduce(lacking, Reduce::kMax);
    return lacking[0] == 0;
  });
  if (found == 0)
    throw AgreedError({ExitCode::kOutOfMemory,
                       "out of memory: train.micro_batch: auto: not even one sample fits on every rank\n  a smaller "
                       "model, or a device with more memory"});
  return found;
}

}  // namespace regatta
