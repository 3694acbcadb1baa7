#include "worker/evaluation.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <array>

#include "common/error.hpp"

namespace regatta {

TestFigures evaluate(Model& model, EvaluationSource& source, Exchanger& exchanger) {
  const c10::InferenceMode inference;
  model.train(false);
  std::array<double, 3> sums{};  // loss, correct, count; doubles count exactly up to 2^53
  for (std::int64_t i = 0; i < source.batches(); ++i) {
    const Batch& batch = source.batch(i);
    if (batch.targets.numel() == 0) continue;
    const at::Tensor logits = model.forward(batch.inputs);  // (B, classes)
    sums[0] += loss_sum(logits, batch.targets).item<double>();
    sums[1] += logits.argmax(1).eq(batch.targets).sum().item<double>();
    sums[2] += static_cast<double>(batch.targets.numel());
  }
  model.train(true);
  exchanger.allreduce_now(sums);
  REGATTA_ENSURE(sums[2] > 0, "an empty test set has no figures: the plan should say evaluate: never");
  return {.loss = sums[0] / sums[2], .accuracy = sums[1] / sums[2]};
}

}  // namespace regatta
