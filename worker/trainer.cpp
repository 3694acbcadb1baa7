// Time: the trainer thread sits in the activity `other` and enters another one only for a scope: batches.next is data,
// then forward and backward, and the exchanger accounts for itself. An epoch's laps are closed after its
// last barrier; on a device its own clock's seconds stand in their place (METRICS section 4). What bringing the rows
// together and writing them costs falls into the next epoch.
//
// Outcomes: on a device that of a step is known when the next one is under way. All ranks then leave after the same
// step, one later than on a processor; before an epoch ends, and before anything else than a step follows, they settle.
//
// Collectives: every step the exchanger's; every epoch the evaluation's sums, a barrier, one minimum over the waits and
// one gather; where shares may change a gather and a broadcast, between steps.

#include "worker/trainer.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>

#include "common/error.hpp"
#include "common/host.hpp"
#include "jobs/schedule.hpp"
#include "jobs/shares.hpp"
#include "worker/auto_deadline.hpp"
#include "worker/device_time_line.hpp"
#include "worker/epoch_summary.hpp"
#include "worker/evaluation.hpp"
#include "worker/failure.hpp"
#include "worker/micro_batch.hpp"
#include "worker/out_of_memory.hpp"
#include "worker/share_control.hpp"
#include "worker/spending.hpp"
#include "worker/step_reporter.hpp"

namespace regatta {
namespace {

SteadyTime steady_now() {
  return std::chrono::steady_clock::now();
}

enum class End { kNot, kEpochs, kTargetAccuracy, kTargetLoss, kMaxTime, kMaxCost, kTrial, kSignal, kNonFinite };

const char* reason_of(End end) {
  switch (end) {
    case End::kTargetAccuracy:
      return "target_accuracy";
    case End::kTargetLoss:
      return "target_loss";
    case End::kMaxTime:
      return "max_time";
    case End::kMaxCost:
      return "max_cost_usd";
    case End::kTrial:
      return "trial";
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

std::optional<std::int64_t> peak_of(const std::optional<DeviceMemory>& memory) {
  return memory ? std::optional(memory->peak_bytes) : std::nullopt;
}

class Trainer {
 public:
  explicit Trainer(const TrainerParts& parts)
      : p_(parts),
        train_(parts.plan.training.train),
        stop_(parts.plan.training.stop),
        time_line_(parts.exchanger.time_line()),
        shares_(parts.plan, parts.ranks, parts.journal),
        spending_(parts.plan, parts.process_start, wall_now(), steady_now()),
        reporter_(parts.journal, parts.plan, parts.process_start, steady_now()) {
    p_.model.set_gradient_order(p_.exchanger.writes_after_backward() ? GradientOrder::kWeights
                                                                     : GradientOrder::kInputs);
  }

  TrainingResult run() {
    if (shares_.due(1, /*new_epoch=*/true)) decide_shares(1);
    p_.ranks.barrier();
    close_laps();  // what came before is startup, not an epoch's
    take_memory();
    first_begin_ = epoch_start_;
    start_batches(1);
    TrainingResult result;
    for (int epoch = 1; end_ == End::kNot; ++epoch) {
      const EpochTotals totals = train_epoch(epoch);
      const bool all_done = totals.complete && epoch == stop_.epochs;
      if (all_done) end_ = End::kEpochs;  // whoever asked to stop during the last step gets a finished run
      settle_batch_norm(totals.own_samples);
      const std::optional<TestFigures> test = evaluate_epoch();
      if (test) end_ = end_after(*test);
      if (end_ != End::kNot && !weights_are_finite()) end_ = End::kNonFinite;  // no later loss will show it
      const ClosedLaps closed = close_epoch();
      const bool deciding = end_ == End::kNot && shares_.due(step_ + 1, /*new_epoch=*/true);
      if (end_ == End::kNot && !deciding) start_batches(epoch + 1);  // on all ranks: rank 0 has lines to write now
      write_epoch(totals, test, closed);
      if (deciding) {
        decide_shares(epoch + 1);
        start_batches(epoch + 1);
      }
      if (totals.complete) result.epochs = epoch;
      result.train_loss = totals.loss_sum / static_cast<double>(totals.samples);
      if (test) {
        result.test_loss = test->loss;
        result.test_accuracy = test->accuracy;
      }
    }
    reporter_.finish();
    result.cost_decision = cost_decision_;
    result.reason = reason_of(end_);
    result.exit_code = exit_code_of(end_);
    result.steps = step_;
    result.ending_step = ending_step_;
    result.overflowed = overflowed_;
    return result;
  }

 private:
  /// The step loop. Every rank leaves it after the same step.
  EpochTotals train_epoch(int epoch) {
    const std::int64_t steps = p_.batches.batches_per_epoch();
    EpochTotals totals{.epoch = epoch, .first_step = step_ + 1};
    SteadyTime before = steady_now();
    for (std::int64_t in_epoch = 1; in_epoch <= steps && end_ == End::kNot; ++in_epoch) {
      p_.clock.begin_step(step_ + 1, before);
      begin_on_device();
      const Batch& batch = next_batch();
      const auto own_samples = static_cast<std::int64_t>(batch.samples.size());
      totals.learning_rate = learning_rate(train_.schedule, train_.optimizer.lr, step_, {steps, stop_.epochs});
      p_.exchanger.bring_samples(own_samples);
      p_.exchanger.begin_step(++step_, batch.global_samples, totals.learning_rate);
      const double computed_before_s = p_.clock.so_far(Phase::kCompute);
      const StepVotes votes{.loss_sum = forward_backward(batch), .stop = p_.stop_requested ? 1 : 0, .budget = budget()};
      if (time_line_ == nullptr)
        shares_.after_step(step_,
                           {.compute_s = p_.clock.so_far(Phase::kCompute) - computed_before_s, .samples = own_samples});
      else
        own_samples_.push_back(own_samples);
      in_flight_.push_back({epoch, step_, in_epoch, batch.global_samples});
      totals.last_step = step_;
      totals.own_samples += own_samples;
      count(p_.exchanger.finish_step(votes), totals);
      read_device();
      const bool deciding = in_epoch < steps && shares_.due(step_ + 1, /*new_epoch=*/false);
      if (in_epoch == steps || end_ != End::kNot || deciding) {
        count(p_.exchanger.settle(), totals);
        read_device();
        end_on_device();
      }
      totals.complete = in_epoch == steps && end_ != End::kNonFinite;
      const SteadyTime end = steady_now();
      p_.clock.end_step(end);
      if (p_.energy != nullptr) p_.energy->watch(end);
      const Duration took = end - std::exchange(before, end);
      totals.step_s.push_back(seconds(took));
      if (const auto deadline = train_.deadline_s ? std::nullopt : auto_deadline_.after_step(took))
        p_.watchdog.set_deadline(*deadline);
      if (deciding && end_ == End::kNot) {
        decide_shares(epoch);
        before = steady_now();
      }
    }
    return totals;
  }

  /// What all ranks know of a step by now. Where outcomes are late, one step has been made by the time that one says to
  /// stop: its samples and its loss count like any other's, and the first reason holds, unless the weights are lost.
  void count(const std::optional<StepOutcome>& outcome, EpochTotals& totals) {
    if (!outcome) return;
    StepReporter::Step step = in_flight_.front();
    in_flight_.pop_front();
    REGATTA_ENSURE(step.number == outcome->step, "outcomes in the order of their steps");
    step.loss = outcome->loss;
    if (end_ == End::kNot && outcome->budget == Budget::kMoneySpent) note_cost_decision();
    overflowed_ |= outcome->overflowed;
    if (end_ == End::kNot || (outcome->failed && end_ != End::kNonFinite)) {
      end_ = end_after(*outcome);
      if (end_ != End::kNot) ending_step_ = step.number;
    }
    totals.samples += step.global_samples;
    totals.loss_sum += step.loss * static_cast<double>(step.global_samples);
    reporter_.after_step(step, steady_now());
  }

  /// Where steps run on a device its clock counts their seconds, from here on until they have settled.
  void begin_on_device() {
    if (time_line_ == nullptr) return;
    if (!stretch_begin_) stretch_begin_ = p_.clock.up_to_now();
    p_.exchanger.await_batch(step_ + 1);
  }

  /// Steps are read in order, on all ranks after the same one.
  void read_device() {
    if (time_line_ == nullptr) return;
    for (const DeviceStep& step : time_line_->take()) {
      device_s_ += step.seconds;
      exchange_hidden_s_ += step.exchange_hidden_s;
      shares_.after_step(step.number, {.compute_s = step.seconds[Phase::kCompute], .samples = own_samples_.front()});
      own_samples_.pop_front();
    }
  }

  /// Its seconds replace the host's laps.
  void end_on_device() {
    if (!stretch_begin_) return;
    PhaseSeconds host = p_.clock.up_to_now();
    host -= *std::exchange(stretch_begin_, {});
    instead_of_laps_ += within_wall(std::exchange(device_s_, {}), host.sum());
    instead_of_laps_ -= host;
  }

  /// From step `step_` + 1 on, which lies in `epoch`. Nobody has a batch in hand, and what was made ahead by other
  /// shares is made anew: which samples a global batch holds does not depend on who computes them.
  void decide_shares(int epoch) {
    const Lap lap(p_.clock, Activity::kBarrier);  // rank 0 looks at what all have measured, and waits for its disk
    p_.watchdog.post(step_, -1, "shares");
    if (!shares_.decide(epoch, step_ + 1)) return;
    p_.batches.set_shares(shares_.weights());
    if (p_.evaluation != nullptr) p_.evaluation->set_shares(shares_.weights());
  }

  void start_batches(int epoch) {
    const Lap lap(p_.clock, Activity::kData);
    p_.batches.start_epoch(epoch);
  }

  const Batch& next_batch() {
    const Lap lap(p_.clock, Activity::kData);
    p_.watchdog.post(step_ + 1, -1, "data");
    return p_.batches.next();
  }

  /// The loss of this rank's samples, part by part. Gradients go to the exchanger's hooks.
  LossSum forward_backward(const Batch& batch) {
    const Lap lap(p_.clock, Activity::kForward);
    p_.watchdog.post(step_, -1, "compute");
    LossSum sum;
    std::int64_t begin = 0;
    for (std::size_t part = 0; part < batch.parts.size(); ++part) {
      const PositionRange own{begin, begin + batch.parts[part]};
      const std::int64_t passes = passes_in(batch, part);
      for (std::int64_t i = 0; i < passes; ++i) {
        const PositionRange piece = micro_batch(own, passes, i);
        p_.exchanger.begin_pass(part + 1 == batch.parts.size() && i + 1 == passes);
        if (piece.size() > 0 || p_.model.is_collective()) sum.add(pass(batch, piece));
      }
      begin = own.end;
    }
    return sum;
  }

  /// As many on every rank.
  std::int64_t passes_in(const Batch& batch, std::size_t part) const {
    if (!train_.micro_batch) return 1;
    const auto parts = static_cast<std::int64_t>(batch.parts.size());
    const PositionRange whole = micro_batch({0, batch.global_samples}, parts, static_cast<std::int64_t>(part));
    return passes_of(whole.size(), shares_.weights(), *train_.micro_batch);
  }

  at::Tensor pass(const Batch& batch, const PositionRange& piece) {
    try {
      return pass(batch.inputs.narrow(0, piece.begin, piece.size()),
                  batch.targets.narrow(0, piece.begin, piece.size()));
    } catch (...) {
      const auto said = lack_of_memory();
      if (!said) throw;
      throw Error(ExitCode::kOutOfMemory, to_text(out_of_memory(*said, piece.size())));
    }
  }

  /// This rank is at its end, and the others will follow: tries what would have fitted.
  OutOfMemory out_of_memory(const std::string& said, std::int64_t samples) {
    OutOfMemory trouble{.where = fmt::format("rank {} on {}", p_.ranks.rank(), host_name()),
                        .samples = samples,
                        .text = said,
                        .device = take_memory()};
    p_.model.share_statistics(nullptr);  // nobody answers
    const auto fits = [&](std::int64_t tried) { return pass_fits(p_.plan, p_.model, p_.exchanger, tried); };
    trouble.fits = trouble.estimate = samples > 1 ? most_that_fit((samples + 1) / 2, fits) : 0;
    if (!trouble.device || trouble.fits < 2) return trouble;
    take_memory();
    const auto peak_with = [&](std::int64_t tried) {
      return MemoryTry{tried, fits(tried) ? take_memory()->peak_bytes : 0};
    };
    const MemoryTry larger = peak_with(trouble.fits), smaller = peak_with(trouble.fits / 2);
    trouble.estimate = fitting_samples(smaller, larger, trouble.device->peak_bytes, samples);
    return trouble;
  }

  std::optional<DeviceMemory> take_memory() { return p_.device == nullptr ? std::nullopt : p_.device->take_memory(); }

  at::Tensor pass(const at::Tensor& inputs, const at::Tensor& targets) {
    at::Tensor loss = loss_sum(p_.model.forward(inputs), targets);
    {
      const Lap lap(p_.clock, Activity::kBackward);
      loss.backward(p_.exchanger.loss_gradient());
    }
    return loss;
  }

  Budget budget() const {
    if (p_.ranks.rank() != 0) return Budget::kLeft;
    return p_.plan.trial ? trial_budget(*p_.plan.trial) : spending_.budget(steady_now());
  }

  Budget trial_budget(const TrialLimits& trial) const {
    const bool late = seconds(steady_now() - first_begin_) >= trial.seconds;
    const bool over = step_ >= trial.most_steps || (late && step_ >= trial.least_steps);
    return over ? Budget::kTimeSpent : Budget::kLeft;
  }

  void note_cost_decision() {
    if (p_.ranks.rank() == 0) cost_decision_ = {.limit = *stop_.max_cost, .accrued = spending_.accrued(steady_now())};
  }

  End end_after(Budget budget) const {
    if (budget == Budget::kMoneySpent) return End::kMaxCost;
    if (budget == Budget::kTimeSpent) return p_.plan.trial ? End::kTrial : End::kMaxTime;
    return End::kNot;
  }

  End end_after(const StepOutcome& outcome) const {
    if (outcome.failed) return End::kNonFinite;
    return outcome.stop ? End::kSignal : end_after(outcome.budget);
  }

  /// A target that is met is the reason, also when it is met in the last epoch. Evaluating may have spent what was
  /// left.
  End end_after(const TestFigures& test) {
    if (!std::isfinite(test.loss)) return End::kNonFinite;
    if (stop_.target_accuracy && test.accuracy >= *stop_.target_accuracy) return End::kTargetAccuracy;
    if (stop_.target_loss && test.loss <= *stop_.target_loss) return End::kTargetLoss;
    if (end_ != End::kNot || !spending_.has_limits()) return end_;
    std::array<double, 1> vote{static_cast<double>(budget())};
    p_.exchanger.allreduce_now(vote);
    const auto agreed = static_cast<Budget>(static_cast<int>(vote[0]));
    if (agreed == Budget::kMoneySpent) note_cost_decision();
    return end_after(agreed);
  }

  /// Ranks or nodes that keep statistics of their own meet here, before the model is evaluated or written.
  void settle_batch_norm(std::int64_t own_samples) {
    const bool own_nodes = train_.exchange.every > 1 && p_.ranks.local_size() < p_.ranks.world_size();
    const bool own_ranks = train_.batch_norm == BatchNorm::kLocal && p_.ranks.world_size() > 1;
    if (!(own_nodes || own_ranks) || end_ == End::kNonFinite) return;
    average_running_statistics(p_.model, own_samples,
                               [this](std::span<double> values) { p_.exchanger.allreduce_now(values); });
  }

  /// Nothing when the job does not evaluate, or when whoever stopped the run does not want to wait: asked to stop while
  /// it evaluates, the run ends without figures for its last epoch.
  std::optional<TestFigures> evaluate_epoch() {
    if (p_.evaluation == nullptr || end_ == End::kSignal || end_ == End::kNonFinite) return {};
    const Lap lap(p_.clock, Activity::kEvaluate);
    p_.watchdog.post(step_, -1, "evaluate");
    const auto test = evaluate(p_.model, *p_.evaluation, p_.exchanger, p_.plan.dataset.test_count, [this] {
      reporter_.evaluating(steady_now());
      if (p_.energy != nullptr) p_.energy->watch(steady_now());
      return !p_.stop_requested;
    });
    if (!test) end_ = End::kSignal;
    return test;
  }

  bool weights_are_finite() const {
    const c10::InferenceMode inference;
    const auto& parameters = p_.model.parameters();
    return std::all_of(parameters.begin(), parameters.end(),
                       [](const auto& named) { return at::isfinite(named.second).all().template item<bool>(); });
  }

  struct ClosedLaps {
    PhaseSeconds laps;
    double wall_s = 0, exchange_hidden_s = 0;
    std::optional<HostJoules> energy;
  };
  ClosedLaps close_laps() {
    const SteadyTime now = steady_now();
    ClosedLaps closed{p_.clock.take(), seconds(now - std::exchange(epoch_start_, now)),
                      std::exchange(exchange_hidden_s_, 0) + p_.exchanger.take_hidden_s()};
    closed.laps += std::exchange(instead_of_laps_, {});
    if (p_.energy != nullptr) closed.energy = p_.energy->take();
    return closed;
  }

  ClosedLaps close_epoch() {
    {
      const Lap lap(p_.clock, Activity::kBarrier);  // a barrier moves nothing: all of it is waiting
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
                        .seconds = split_waits(closed.laps, own, least),
                        .exchange_hidden_s = closed.exchange_hidden_s,
                        .device_memory_peak_bytes = peak_of(take_memory()),
                        .energy = closed.energy};
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
  const StopSpec& stop_;
  DeviceTimeLine* const time_line_;  // null: steps run on a processor
  ShareControl shares_;
  const Spending spending_;
  StepReporter reporter_;
  End end_ = End::kNot;
  bool overflowed_ = false;
  std::int64_t step_ = 0;                     // done or running, since the start of the run
  std::int64_t ending_step_ = 0;              // whose outcome said to stop; 0: none
  std::deque<StepReporter::Step> in_flight_;  // without their losses
  SteadyTime epoch_start_, first_begin_;      // of this epoch, of the first
  AutoDeadline auto_deadline_{p_.ranks.local_size() == p_.ranks.world_size()};
  std::optional<PhaseSeconds> stretch_begin_;          // the laps then
  PhaseSeconds device_s_, instead_of_laps_;            // of the stretch that runs; of those of the epoch
  double exchange_hidden_s_ = 0;                       // of the epoch
  std::deque<std::int64_t> own_samples_;               // of steps that the device's clock has not told yet
  std::optional<record::CostDecision> cost_decision_;  // rank 0
};

}  // namespace

TrainingResult train(TrainerParts parts) {
  return Trainer(parts).run();
}

}  // namespace regatta
