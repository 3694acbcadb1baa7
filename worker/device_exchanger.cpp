// What lies on the two streams in a step of two buckets; the host only puts it there, and is a step ahead:
//
//   compute   backward.. gather 0 .. backward.. gather 1   votes           mean, rule 0   mean, rule 1   forward..
//                              | gathered            |         | written   ^ summed       ^
//                              v                     v         v           |              |
//   exchange                   sum 0                 sum 1     sum of votes
//
// Six waits order it, and tests/mpi/device_waits_test.cpp shows of each that a step is wrong without it:
//   exchange for `gathered`   a bucket is summed when all its gradients lie in the flat buffer, and no earlier step's
//                             optimizer reads it any more (that lies before the gather, on the same stream)
//   exchange for `written`    the votes hold the loss, which the compute stream has put there
//   compute for `summed`      the mean is taken of the sum
//   host for the votes        of the step before, when this one lies on the streams: so the device never runs dry, and
//                             the host is never more than a step ahead
//   host for `settled`        whoever asks for the weights gets them
// and allreduce_now's, whose caller wants the numbers.
//
// Clipping and a scaled loss take all sums before the first rule. Whether the scaled gradient overflowed never comes to
// the host in its own step: the number of steps that were skipped in a row travels with the next step's votes, which
// the compute stream writes before that step's rule counts on.
//
// Votes are a message of their own, unlike MpiExchanger's: bfloat16 would not carry a loss. What they say is known one
// step late, when the next step is under way on every rank: that one is finished, and then all stop. A failed step is
// known too late to keep its weights (D-12). Buckets are sent in order whatever the order in which hooks complete them,
// so that all ranks call the same collectives in the same order, with or without samples.
//
// Seconds are the device's own (METRICS section 4): marks cut the compute stream's time into phases. The host's laps, a
// step ahead of it, would only say how long launching takes.
//
// What a step's outcome waits for comes in two, used in turn: the step after it records its own before anybody waits.

#include "worker/device_exchanger.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "common/error.hpp"
#include "common/host.hpp"
#include "worker/clip.hpp"
#include "worker/device_time_line.hpp"
#include "worker/flat_buffer.hpp"
#include "worker/gradient_capture.hpp"
#include "worker/lap_clock.hpp"
#include "worker/loss_scale.hpp"
#include "worker/optimizer.hpp"
#include "worker/polled_wait.hpp"
#include "worker/rank_context.hpp"

namespace regatta {
namespace {

/// One bucket as tensors on the device.
struct DeviceBucket {
  std::vector<std::size_t> parameters;
  at::Tensor sent, mean;                      // its range, as it travels and in the parameters' type; may be one
  std::vector<at::Tensor> sent_views, means;  // by place in `parameters`
  Event gathered;
  std::array<Event, 2> summed;  // of steps in turn
};

/// Numbers that the host brings and gets back summed over all ranks, as float64.
class HostNumbers {
 public:
  explicit HostNumbers(Device& device) : device_(device), written_(device.make_event()), done_(device.make_event()) {}

  /// A number on the device, (), and the place of the one that it is added to.
  struct Addend {
    std::int64_t place;
    at::Tensor value;
  };

  /// Once the sum before is done. `addends` are added where they are, on the compute stream.
  void start_sum(std::span<const double> values, const std::vector<Addend>& addends = {}) {
    count_ = static_cast<std::int64_t>(values.size());
    if (!in_.defined() || in_.numel() < count_) allot();
    std::copy(values.begin(), values.end(), in_.mutable_data_ptr<double>());
    const at::Tensor summed = summed_.narrow(0, 0, count_);
    device_.copy(addends.empty() ? Stream::kExchange : Stream::kCompute, summed, in_.narrow(0, 0, count_));
    if (!addends.empty()) {
      device_.launch(Stream::kCompute, [all = summed_, addends] {
        const c10::NoGradGuard no_grad;
        for (const Addend& addend : addends) all.select(0, addend.place).add_(addend.value);
      });
      device_.record(written_, Stream::kCompute);
      device_.wait(Stream::kExchange, written_);
    }
    device_.all_reduce_sum(summed);
    device_.copy(Stream::kExchange, out_.narrow(0, 0, count_), summed);
    device_.record(done_, Stream::kExchange);
  }
  Event done() const { return done_; }
  /// Once `done` is complete; as many as were brought.
  std::span<const double> sums() const { return {out_.const_data_ptr<double>(), static_cast<std::size_t>(count_)}; }

 private:
  void allot() {
    const c10::InferenceMode no_inference(false);  // evaluation may ask first, and others write into them later
    in_ = device_.host_memory(count_, at::kDouble);
    summed_ = device_.memory(count_, at::kDouble);
    out_ = device_.host_memory(count_, at::kDouble);
  }

  Device& device_;
  Event written_, done_;
  at::Tensor in_, summed_, out_;
  std::int64_t count_ = 0;
};

class DeviceExchanger final : public Exchanger {
 public:
  DeviceExchanger(ExchangerParts parts, std::unique_ptr<Optimizer> optimizer, Device& device, Wire wire,
                  std::shared_ptr<LossScale> loss_scale)
      : parts_(std::move(parts)),
        optimizer_(std::move(optimizer)),
        loss_scale_(std::move(loss_scale)),
        device_(device),
        plan_(bucket_plan_of(parts_.parameters, parts_.limits)),
        votes_{HostNumbers(device), HostNumbers(device)},
        numbers_(device),
        settled_(device.make_event()),
        time_line_(device),
        gradients_(parts_.parameters.size()),
        capture_(
            parts_.parameters, buckets_of(plan_), parts_.clock,
            [this](std::size_t i, const at::Tensor& gradient) { gradients_[i] = gradient; },
            [this](int bucket) { bucket_ready(bucket); }) {
    make_buckets(wire);
    agree_on_bucket_plan(plan_.hash, parts_.ranks);
  }

  const char* name() const override { return device_.name(); }
  int buckets() const override { return static_cast<int>(plan_.buckets.size()); }
  std::int64_t gradient_bytes() const override { return static_cast<std::int64_t>(mean_.nbytes()); }
  std::vector<std::int64_t> bucket_bytes() const override {
    return bucket_bytes_of(plan_, static_cast<std::int64_t>(mean_.element_size()));
  }
  const std::string& bucket_plan_hash() const override { return plan_.hash; }

  void begin_step(std::int64_t step, std::int64_t global_samples, double learning_rate) override {
    step_ = step;
    global_samples_ = global_samples;
    learning_rate_ = learning_rate;
    turn_ = 1 - turn_;
    await_batch(step);  // where nobody has said so
    named(step, -1, "time line", "begin", [&] { time_line_.mark(Phase::kDataWait); });
    ready_.assign(buckets_.size(), false);
    sent_ = 0;
    capture_.begin_step();
  }
  void begin_pass(bool last) override { capture_.begin_pass(last); }
  at::Tensor loss_gradient() const override {
    return loss_scale_ ? loss_scale_->loss_gradient(global_samples_) : at::Tensor();
  }

  void bucket_ready(int bucket) override {
    parts_.watchdog.post(step_, bucket, "backward");
    ready_[static_cast<std::size_t>(bucket)] = true;
    send_ready("backward");
  }

  std::optional<StepOutcome> finish_step(const StepVotes& votes) override {
    const c10::NoGradGuard no_grad;
    send_rest(votes);
    const InFlight now{step_, global_samples_, turn_};
    if (device_.computes_here()) wait_for_sums(now);  // else launch_rule would, and that counts as the optimizer's time
    launch_rule();
    const auto before = std::exchange(in_flight_, now);
    if (!before) return {};
    const StepOutcome outcome = count_votes(*before);
    // Its sums were behind its backward, and that behind the optimizer of the step before it.
    named(step_, -1, "time line", "exchange", [&] { time_line_.read_up_to(before->step - 1); });
    return outcome;
  }

  std::optional<StepOutcome> settle() override {
    std::optional<StepOutcome> last;
    if (in_flight_) last = count_votes(*std::exchange(in_flight_, {}));
    const Lap wait(parts_.clock, Activity::kWait);
    named(step_, buckets() - 1, "update", "apply", [&] {
      device_.record(settled_, Stream::kCompute);
      // Behind the sums, which have been waited for, lies this device's own work alone: no deadline.
      poll_until(parts_.watchdog, [&] { return device_.is_complete(settled_); });
      time_line_.end_stretch();
    });
    return last;
  }

  void allreduce_now(std::span<double> values) override {
    const Lap lap(parts_.clock, Activity::kSum);
    named(step_, -1, "sum of metrics", "metrics", [&] {
      const bool in_step = time_line_.running();
      if (in_step) time_line_.mark(Phase::kCompute);
      numbers_.start_sum(values);
      const Duration waited = wait_for_ranks(numbers_.done(), "sum of metrics");
      if (in_step)
        time_line_.mark_wait_for_numbers();
      else
        waits_.push_back(seconds(waited));
    });
    std::copy(numbers_.sums().begin(), numbers_.sums().end(), values.begin());
  }

  std::vector<Parameter> weights() const override { return parts_.parameters; }
  std::vector<double> take_waits() override {
    std::vector<double> waits = time_line_.take_waits();
    for (const double wait : std::exchange(waits_, {})) waits.push_back(wait);
    return waits;
  }
  std::int64_t take_bytes_exchanged() override { return std::exchange(bytes_exchanged_, 0); }
  DeviceTimeLine* time_line() override { return &time_line_; }
  void await_batch(std::int64_t step) override {
    named(step, -1, "time line", "begin", [&] { time_line_.begin_step(step); });
  }

 private:
  /// A step whose outcome is not known yet.
  struct InFlight {
    std::int64_t step, global_samples;
    std::size_t turn;
  };

  void make_buckets(Wire wire) {
    const at::ScalarType type = parts_.parameters[0].tensor.scalar_type();
    REGATTA_ENSURE(type == at::kFloat || type == at::kDouble, "weights that are trained in float or double");
    mean_ = device_.memory(plan_.elements, type);
    const at::Tensor sent = wire == Wire::kSame ? mean_ : device_.memory(plan_.elements, at::kBFloat16);
    for (const BucketRange& range : plan_.buckets) {
      const auto of = [&](const at::Tensor& flat) { return flat.narrow(0, range.begin, range.end - range.begin); };
      auto bucket = std::make_shared<DeviceBucket>();
      bucket->sent = of(sent);
      bucket->mean = of(mean_);
      bucket->gathered = device_.make_event();
      bucket->summed = {device_.make_event(), device_.make_event()};
      buckets_.push_back(std::move(bucket));
    }
    const std::vector<at::Tensor> sent_views = views_of(sent, plan_, parts_.parameters);
    const std::vector<at::Tensor> means = views_of(mean_, plan_, parts_.parameters);
    for (std::size_t i = 0; i < plan_.slots.size(); ++i) {
      DeviceBucket& bucket = *buckets_[static_cast<std::size_t>(plan_.slots[i].bucket)];
      bucket.parameters.push_back(i);
      bucket.sent_views.push_back(sent_views[i]);
      bucket.means.push_back(means[i]);
    }
  }

  // ---- sending

  void send_ready(const char* phase) {
    for (; sent_ < buckets_.size() && ready_[sent_]; ++sent_)
      named(step_, static_cast<int>(sent_), "sum of gradients", phase, [&] { send(*buckets_[sent_]); });
  }

  void send(const DeviceBucket& bucket) {
    gather(bucket);
    device_.record(bucket.gathered, Stream::kCompute);
    device_.wait(Stream::kExchange, bucket.gathered);
    time_line_.begin_sum();
    device_.all_reduce_sum(bucket.sent);
    if (bucket.sent.scalar_type() != bucket.mean.scalar_type())
      device_.copy(Stream::kExchange, bucket.mean, bucket.sent);
    device_.record(bucket.summed[turn_], Stream::kExchange);
    time_line_.end_sum();
    bytes_exchanged_ += static_cast<std::int64_t>(bucket.sent.nbytes());
  }

  /// Gradients into the flat buffer, in the wire's type; zeros where this rank had no samples. On the compute stream:
  /// it is where they were made and where their memory is used again.
  void gather(const DeviceBucket& bucket) {
    time_line_.mark(Phase::kCompute);
    std::vector<at::Tensor> to, from, absent;
    for (std::size_t p = 0; p < bucket.parameters.size(); ++p) {
      at::Tensor gradient = std::exchange(gradients_[bucket.parameters[p]], {});
      (gradient.defined() ? to : absent).push_back(bucket.sent_views[p]);
      if (gradient.defined()) from.push_back(std::move(gradient));
    }
    device_.launch(Stream::kCompute, [to = std::move(to), from = std::move(from), absent = std::move(absent)] {
      const c10::NoGradGuard no_grad;
      if (!to.empty()) at::_foreach_copy_(to, from);
      if (!absent.empty()) at::_foreach_zero_(absent);
    });
    time_line_.mark(Phase::kExchange);
  }

  void send_rest(const StepVotes& votes) {
    const Lap lap(parts_.clock, Activity::kPublish);
    capture_.finish();  // what passes before the last one left
    ready_.assign(buckets_.size(), true);
    send_ready("exchange");
    // A loss that is not finite stays so in the sum, whatever the others bring: nobody has to look at it here.
    const Ballot ballot = ballot_of({votes.loss_sum.known(), votes.stop, votes.budget});
    std::vector<double> numbers(ballot.begin(), ballot.end());
    std::vector<HostNumbers::Addend> addends;
    for (const at::Tensor& loss : votes.loss_sum.passes()) addends.push_back({0, loss});
    if (loss_scale_) {
      addends.push_back({static_cast<std::int64_t>(numbers.size()), loss_scale_->skips()});
      numbers.push_back(0);
    }
    named(step_, buckets() - 1, "sum of votes", "exchange", [&] {
      time_line_.mark(Phase::kCompute);
      votes_[turn_].start_sum(numbers, addends);
      time_line_.mark(Phase::kExchange);
    });
  }

  // ---- applying

  void launch_rule() {
    const Lap lap(parts_.clock, Activity::kApply);
    named(step_, buckets() - 1, "update", "apply", [&] {
      if (!parts_.clip_norm && !loss_scale_) {
        for (const auto& bucket : buckets_) {
          device_.wait(Stream::kCompute, bucket->summed[turn_]);
          time_line_.mark_wait_for_sum();
          launch_apply(bucket, /*take_mean=*/true);
          time_line_.mark(Phase::kOptimizer);
        }
        return;
      }
      device_.wait(Stream::kCompute, buckets_.back()->summed[turn_]);  // and so for all of them
      time_line_.mark_wait_for_sum();
      device_.launch(Stream::kCompute,
                     [mean = mean_, samples = global_samples_, limit = parts_.clip_norm, scale = loss_scale_] {
                       const c10::NoGradGuard no_grad;
                       if (scale)
                         scale->settle({mean});
                       else
                         mean.div_(samples);
                       if (limit) clip_to_norm({mean}, *limit);
                     });
      for (const auto& bucket : buckets_) launch_apply(bucket, /*take_mean=*/false);
      time_line_.mark(Phase::kOptimizer);
    });
  }

  void launch_apply(const std::shared_ptr<const DeviceBucket>& bucket, bool take_mean) {
    device_.launch(Stream::kCompute,
                   [bucket, optimizer = optimizer_, take_mean, samples = global_samples_, rate = learning_rate_] {
                     const c10::NoGradGuard no_grad;
                     if (take_mean) bucket->mean.div_(samples);
                     optimizer->apply(bucket->parameters, bucket->means, rate);
                   });
  }

  // ---- the end of a step

  /// Waits for the votes, and looks at the buckets on the way: a wait that lasts is a bucket's, and says which.
  void wait_for_sums(const InFlight& of) {
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      const int bucket = static_cast<int>(b);
      const Lap wait(parts_.clock, Activity::kWait, bucket);
      parts_.watchdog.post(of.step, bucket, "exchange");
      named(of.step, bucket, "sum of gradients", "exchange", [&] {
        wait_for_ranks(b + 1 == buckets_.size() ? votes_[of.turn].done() : buckets_[b]->summed[of.turn],
                       "sum of gradients");
      });
    }
  }

  StepOutcome count_votes(const InFlight& of) {
    if (!device_.computes_here()) wait_for_sums(of);
    const std::span<const double> found = votes_[of.turn].sums();
    Ballot sums{};
    std::copy_n(found.begin(), sums.size(), sums.begin());
    StepOutcome outcome = outcome_of(of.step, sums, static_cast<double>(of.global_samples));
    if (loss_scale_) {  // in the steps before that one; every rank has counted the same
      const double skips = found[sums.size()] / parts_.ranks.world_size();
      outcome.overflowed = skips >= static_cast<double>(loss_scale_->most_skips());
      outcome.failed |= outcome.overflowed;
    }
    return outcome;
  }

  Duration wait_for_ranks(Event event, const char* what) {
    const auto start = std::chrono::steady_clock::now();
    const WatchedWait wait(parts_.watchdog, what, WaitKind::kPolling);
    poll_until(parts_.watchdog, [&] { return device_.is_complete(event); });
    return std::chrono::steady_clock::now() - start;
  }

  /// A failure of the device says where it met this rank, as the watchdog does for a wait; the device is given up.
  template <class Action>
  void named(std::int64_t step, int bucket, const char* what, const char* phase, const Action& action) {
    try {
      action();
    } catch (const CommError& error) {
      device_.abort();
      if (error.exit_code() == ExitCode::kDeadline) throw;  // the watchdog's words
      const std::string in = bucket >= 0 ? fmt::format(", bucket {}", bucket) : "";
      throw CommError(fmt::format("rank {} on {}: {} failed at step {}{} ({})\n  {}", parts_.ranks.rank(), host_name(),
                                  what, step, in, phase, error.what()),
                      error.exit_code());
    }
  }

  ExchangerParts parts_;
  std::shared_ptr<Optimizer> optimizer_;   // shared with what is launched
  std::shared_ptr<LossScale> loss_scale_;  // likewise; null without
  Device& device_;
  BucketPlan plan_;
  at::Tensor mean_;  // (elements) the parameters' type: gradients, their sum, their mean
  std::vector<std::shared_ptr<DeviceBucket>> buckets_;
  std::array<HostNumbers, 2> votes_;  // of steps in turn
  HostNumbers numbers_;
  Event settled_;
  DeviceTimeLine time_line_;
  std::optional<InFlight> in_flight_;
  std::size_t turn_ = 0;
  std::int64_t step_ = 0, global_samples_ = 1;
  double learning_rate_ = 0;
  std::vector<bool> ready_;            // by bucket
  std::size_t sent_ = 0;               // buckets of this step
  std::vector<at::Tensor> gradients_;  // by parameter, as autograd made them, until their bucket is gathered
  std::vector<double> waits_;          // seconds by collective, of those between steps
  std::int64_t bytes_exchanged_ = 0;
  GradientCapture capture_;
};

}  // namespace

std::unique_ptr<Exchanger> make_device_exchanger(ExchangerParts parts, std::unique_ptr<Optimizer> optimizer,
                                                 Device& device, Wire wire, std::shared_ptr<LossScale> loss_scale) {
  return std::make_unique<DeviceExchanger>(std::move(parts), std::move(optimizer), device, wire, std::move(loss_scale));
}

}  // namespace regatta
