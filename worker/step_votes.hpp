#pragma once
// What ranks tell each other in a step beside their gradients, and what all of them know then.

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

namespace regatta {

/// A rank's loss of one step, summed over its samples: one number a pass, where the model made it. On a device nobody
/// reads it before all have been summed; on a processor that costs nothing.
class LossSum {
 public:
  LossSum(double known = 0) : known_(known) {}
  /// () float32 or float64.
  void add(const at::Tensor& loss) { passes_.push_back(loss.detach()); }

  double known() const { return known_; }
  const std::vector<at::Tensor>& passes() const { return passes_; }
  /// In the order of the passes, in float64. Waits for the device that the passes are on.
  double on_host() const;

 private:
  double known_;
  std::vector<at::Tensor> passes_;
};

/// Whether the run may go on, by the limits of the job's stop.
enum class Budget { kLeft, kTimeSpent, kMoneySpent };

/// What each rank brings to a step beside its gradients. Summed over ranks with the last bucket: no message of its own.
struct StepVotes {
  LossSum loss_sum;               ///< of this rank; one that is not finite fails the step for all
  int stop = 0;                   ///< 1: this rank was asked to stop (a signal)
  Budget budget = Budget::kLeft;  ///< rank 0's clock decides for all; the others leave it
};

/// The same on every rank.
struct StepOutcome {
  std::int64_t step = 0;  ///< as begin_step was told
  double loss = 0;        ///< global mean
  bool stop = false;
  Budget budget = Budget::kLeft;
  bool failed = false;      ///< the loss is not finite, on some rank or in sum: the weights are of no use any more
  bool overflowed = false;  ///< it failed because no scale of the loss keeps the gradient finite
};

/// Votes as they travel, to be summed over ranks: loss_sum, stop, budget, ranks that failed.
using Ballot = std::array<double, 4>;

/// Reads the loss.
Ballot ballot_of(const StepVotes& votes);
StepOutcome outcome_of(std::int64_t step, const Ballot& sums, double global_samples);

}  // namespace regatta
