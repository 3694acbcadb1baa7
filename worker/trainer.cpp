// Time: the trainer thread sits in the lap phase `other` and enters another one only for a scope; batches.next is
// data_wait, forward and backward are compute, the exchanger accounts for itself. An epoch's laps are closed after its
// last barrier; what bringing the rows together and writing them costs falls into the next epoch.
//
// Collectives: every step the exchanger's; every epoch the evaluation's sums, a barrier, one minimum over the waits and
// one gather.

#include "worker/trainer.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "worker/auto_deadline.hpp"
#include "worker/epoch_summary.hpp"
#include "worker/evaluation.hpp"
#include "worker/step_reporter.hpp"

namespace regatta {
namespace {

SteadyTime steady_now() {
  return std::chrono::steady_clock::now();
}

enum class End { kNot, kEpochs, kMaxTime, kSignal, kNonFinite };

const char* reason_of(End end) {
  switch (end) {
    case End::kMaxTime:
      return "max_time";
    case End::kSignal:
      return "signal";
    case End::kNonFinite:
      return "non_finite";
    default:
      return "epochs";
  }
}

ExitCode exit_code_of(End end) {
  if (end == End::kSignal) return ExitCode::kStoppedOnRequest;
  if (end == End::kNonFinite) return ExitCode::kNonFiniteLoss;
  return ExitCode::kDone;
}

class Trainer {
 public:
  explicit Trainer(const TrainerParts& parts)
      : p_(parts),
        train_(parts.plan.training.train),
        reporter_(parts.journal, parts.plan, parts.process_start, steady_now()) {}

  TrainingResult run() {
    p_.ranks.barrier();
    close_laps();  // what came before is startup, not an epoch's
    start_batches(1);
    TrainingResult result;
    for (int epoch = 1; end_ == End::kNot; ++epoch) {
      const EpochTotals totals = train_epoch(epoch);
      const bool all_done = totals.complete && epoch == p_.plan.training.stop.epochs;
      if (all_done) end_ = End::kEpochs;  // whoever asked to stop during the last step gets a finished run
      const std::optional<TestFigures> test = evaluate_epoch();
      const ClosedLaps closed = close_epoch();
      if (end_ == End::kNot) start_batches(epoch + 1);  // on all ranks at once: rank 0 has lines to write now
      write_epoch(totals, test, closed);
      if (totals.complete) result.epochs = epoch;
      result.train_loss = totals.loss_sum / static_cast<double>(totals.samples);
      if (test) {
        result.test_loss = test->loss;
        result.test_accuracy = test->accuracy;
      }
    }
    reporter_.finish();
    result.reason = reason_of(end_);
    result.exit_code = exit_code_of(end_);
    result.steps = step_;
    return result;
  }

 private:
  /// The step loop. Every rank leaves it after the same step.
  EpochTotals train_epoch(int epoch) {
    const std::int64_t steps = p_.batches.batches_per_epoch();
    EpochTotals totals{.epoch = epoch, .first_step = step_ + 1, .learning_rate = train_.optimizer.lr};
    for (std::int64_t in_epoch = 1; in_epoch <= steps && end_ == End::kNot; ++in_epoch) {
      const SteadyTime start = steady_now();
      const Batch& batch = next_batch();
      p_.exchanger.begin_step(++step_, batch.global_samples, totals.learning_rate);
      StepVotes votes{.stop = p_.stop_requested ? 1 : 0, .budget = out_of_time() ? 1 : 0};
      if (batch.targets.numel() > 0) votes.loss_sum = forward_backward(batch);
      votes.failed = std::isfinite(votes.loss_sum) ? 0 : 1;
      const StepOutcome outcome = p_.exchanger.finish_step(votes);
      end_ = end_after(outcome);

      totals.last_step = step_;
      totals.samples += batch.global_samples;
      totals.own_samples += batch.targets.numel();
      totals.loss_sum += outcome.loss * static_cast<double>(batch.global_samples);
      totals.complete = in_epoch == steps && !outcome.failed;
      const SteadyTime end = steady_now();
      reporter_.after_step({epoch, step_, in_epoch, batch.global_samples, outcome.loss}, end);
      if (const auto deadline = train_.deadline_s ? std::nullopt : auto_deadline_.after_step(end - start))
        p_.watchdog.set_deadline(*deadline);
    }
    return totals;
  }

  void start_batches(int epoch) {
    const Lap lap(p_.clock, Phase::kDataWait);
    p_.batches.start_epoch(epoch);
  }

  const Batch& next_batch() {
    const Lap lap(p_.clock, Phase::kDataWait);
    p_.watchdog.post(step_ + 1, -1, "data");
    return p_.batches.next();
  }

  /// Returns the loss summed over this rank's samples. Gradients go to the exchanger's hooks.
  double forward_backward(const Batch& batch) {
    const Lap lap(p_.clock, Phase::kCompute);
    p_.watchdog.post(step_, -1, "compute");
    const at::Tensor loss = loss_sum(p_.model.forward(batch.inputs), batch.targets);
    loss.backward();
    return loss.item<double>();
  }

  /// max_time counts from the start of the process. Rank 0's clock decides for all.
  bool out_of_time() const {
    const std::optional<double>& limit = p_.plan.training.stop.max_time_s;
    return limit && p_.ranks.rank() == 0 && seconds(steady_now() - p_.process_start) >= *limit;
  }

  static End end_after(const StepOutcome& outcome) {
    if (outcome.failed) return End::kNonFinite;
    if (outcome.stop) return End::kSignal;
    return outcome.budget ? End::kMaxTime : End::kNot;
  }

  /// Nothing when the job does not evaluate, or when whoever stopped the run does not want to wait: asked to stop while
  /// it evaluates, the run ends without figures for its last epoch.
  std::optional<TestFigures> evaluate_epoch() {
    if (p_.evaluation == nullptr || end_ == End::kSignal || end_ == End::kNonFinite) return {};
    const Lap lap(p_.clock, Phase::kEvaluation);
    p_.watchdog.post(step_, -1, "evaluate");
    const auto test = evaluate(p_.model, *p_.evaluation, p_.exchanger, p_.plan.dataset.test_count, [this] {
      reporter_.evaluating(steady_now());
      return !p_.stop_requested;
    });
    if (!test) end_ = End::kSignal;
    return test;
  }

  struct ClosedLaps {
    PhaseSeconds laps;
    double wall_s = 0;
  };
  ClosedLaps close_laps() {
    const SteadyTime now = steady_now();
    return {p_.clock.take(), seconds(now - std::exchange(epoch_start_, now))};
  }

  ClosedLaps close_epoch() {
    {
      const Lap lap(p_.clock, Phase::kStragglerWait);  // a barrier moves nothing: all of it is waiting
      p_.ranks.barrier();
    }
    return close_laps();
  }

  void write_epoch(const EpochTotals& totals, const std::optional<TestFigures>& test, const ClosedLaps& closed) {
    const std::vector<double> own = p_.exchanger.take_waits();
    std::vector<double> least = own;
    p_.ranks.allreduce(least, Reduce::kMin);
    const RankEpoch row{.epoch = totals.epoch,
                        .rank = p_.ranks.rank(),
                        .host = host_name(),
                        .samples = totals.own_samples,
                        .wall_s = closed.wall_s,
                        .seconds = split_waits(closed.laps, own, least)};
    const std::int64_t bytes = p_.exchanger.take_bytes_exchanged();
    std::vector<RankEpoch> rows;
    for (const std::string& text : p_.ranks.gather(to_json(row).dump()))
      rows.push_back(rank_epoch_from_json(parse_json(text, "a rank's row")));
    if (p_.journal == nullptr) return;
    p_.journal->write_ranks(rows);
    p_.journal->write(epoch_record(p_.plan, totals, test, rows, bytes));
  }

  TrainerParts p_;
  const TrainSpec& train_;
  StepReporter reporter_;
  End end_ = End::kNot;
  std::int64_t step_ = 0;  // done or running, since the start of the run
  SteadyTime epoch_start_;
  AutoDeadline auto_deadline_;
};

}  // namespace

TrainingResult train(TrainerParts parts) {
  return Trainer(parts).run();
}

}  // namespace regatta
