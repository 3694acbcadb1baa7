#pragma once
// The step loop and what surrounds it: epochs, evaluation, stops, the journal's lines.

#include <atomic>
#include <functional>
#include <memory>

#include "jobs/models.hpp"
#include "jobs/plan.hpp"
#include "worker/batch_source.hpp"
#include "worker/device.hpp"
#include "worker/exchanger.hpp"
#include "worker/host_energy.hpp"
#include "worker/journal.hpp"
#include "worker/lap_clock.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// Everything a trainer works with; owned by the caller (worker.cpp, or a test that wraps a part).
struct TrainerParts {
  const Plan& plan;
  RankContext& ranks;
  Watchdog& watchdog;
  LapClock& clock;
  Model& model;
  BatchSource& batches;
  EvaluationSource* evaluation;  ///< null: train.evaluate is never
  Exchanger& exchanger;
  Journal* journal;                         ///< rank 0 only
  const std::atomic<bool>& stop_requested;  ///< set by USR1 and TERM
  SteadyTime process_start;
  HostEnergy* energy = nullptr;  ///< on the first rank of a host
  Device* device = nullptr;      ///< that the model lives on; null: the host
};

/// How training ended, the same on every rank.
struct TrainingResult {
  std::string
      reason;  ///< epochs | target_accuracy | target_loss | max_time | max_cost_usd | trial | signal | non_finite
  ExitCode exit_code = ExitCode::kDone;
  int epochs = 0;  ///< complete
  std::int64_t steps = 0;
  std::int64_t ending_step = 0;  ///< whose outcome said to stop (steps - 1 where outcomes are late); 0: no step's did
  double train_loss = 0;
  std::optional<double> test_loss, test_accuracy;
  bool overflowed = false;  ///< non_finite, and it is the gradient in float16, at every scale of the loss
  std::optional<record::CostDecision> cost_decision;  ///< on rank 0, when max_cost_usd ended it
};

/// The plan's train.micro_batch is a number here.
/// Collective. Trains until the first stop; writes first_step, early, heartbeat, epoch and rank lines (not start, not
/// stop). An epoch that was cut short is recorded with `complete` false; it is evaluated when time ran out, so that the
/// final weights have figures (as when the money did), and not after a signal or a non-finite loss. A signal also ends
/// a running evaluation. Where outcomes are late (Exchanger::settle) a stop is noticed one step later, and that step
/// belongs to the run. Throws CommError, DataError, IoError, and Error (kOutOfMemory) with what would fit.
TrainingResult train(TrainerParts parts);

}  // namespace regatta
