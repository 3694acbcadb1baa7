#include "worker/step_votes.hpp"

#include <ATen/ATen.h>

#include <cmath>

namespace regatta {

double LossSum::on_host() const {
  double sum = known_;
  for (const at::Tensor& loss : passes_) sum += loss.item<double>();
  return sum;
}

Ballot ballot_of(const StepVotes& votes) {
  const double loss_sum = votes.loss_sum.on_host();
  return {loss_sum, double(votes.stop), double(static_cast<int>(votes.budget)), std::isfinite(loss_sum) ? 0.0 : 1.0};
}

StepOutcome outcome_of(std::int64_t step, const Ballot& sums, double global_samples) {
  StepOutcome outcome{.step = step,
                      .loss = sums[0] / global_samples,
                      .stop = sums[1] > 0,
                      .budget = static_cast<Budget>(static_cast<int>(sums[2]))};
  outcome.failed = sums[3] > 0 || !std::isfinite(outcome.loss);
  return outcome;
}

}  // namespace regatta
