#include "worker/divergence.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace regatta {

namespace {

/// Nodes meet after `every` steps and where an epoch ends. A step's loss is computed before what follows the step; at
/// the end of an epoch it is the weights that are not finite.
bool nodes_have_met(const Plan& plan, const TrainingResult& result) {
  const std::int64_t first_meeting = std::min(plan.training.train.exchange.every, plan.steps_per_epoch());
  return result.ending_step > 0 ? result.ending_step > first_meeting : result.steps >= first_meeting;
}

}  // namespace

std::string divergence_words(const Plan& plan, bool several_nodes, const TrainingResult& result) {
  const std::int64_t step = result.ending_step > 0 ? result.ending_step : result.steps;
  if (result.overflowed)
    return fmt::format(
        "gradients overflow float16 at every scale of the loss, up to step {}: lower train.optimizer.lr, or write "
        "train.precision: bf16",
        step);
  if (result.exit_code != ExitCode::kNonFiniteLoss) return "";
  const auto& outer = plan.training.train.exchange.outer;
  if (!several_nodes || !outer || *outer == OuterSpec{} || !nodes_have_met(plan, result))
    return fmt::format("the loss is not finite at step {}: lower train.optimizer.lr", step);
  return fmt::format(
      "the loss is not finite at step {}: lower train.optimizer.lr, or train.exchange.outer, which nodes step with "
      "when "
      "they meet (lr {:g}, momentum {:g}{}); without outer they only average",
      step, outer->lr, outer->momentum, outer->nesterov ? ", nesterov" : "");
}

}  // namespace regatta
