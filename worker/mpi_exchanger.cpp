// The simple exchange, and the oracle of the others. One flat buffer holds the gradient in bucket order and, after
// the last bucket, the step's votes, so that they cost no message:
//
//   | bucket 0 (last parameters) | bucket 1 | ... | bucket n-1 (first parameters) | loss_sum stop budget failed |
//
// Hooks copy gradients in while backward runs; finish_step sums bucket by bucket with a blocking MPI_Allreduce.
// Every rank calls the same collectives in the same order, with or without samples.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <limits>
#include <numeric>
#include <tuple>

#include "common/error.hpp"
#include "worker/clip.hpp"
#include "worker/exchanger.hpp"
#include "worker/flat_buffer.hpp"
#include "worker/gradient_capture.hpp"
#include "worker/lap_clock.hpp"
#include "worker/mpi.hpp"
#include "worker/optimizer.hpp"
#include "worker/rank_context.hpp"

namespace regatta {
namespace {

constexpr std::int64_t kVotes = std::tuple_size_v<Ballot>;

MPI_Datatype mpi_type(at::ScalarType type) {
  REGATTA_ENSURE(type == at::kFloat || type == at::kDouble, "MPI sums float and double");
  return type == at::kFloat ? MPI_FLOAT : MPI_DOUBLE;
}

class MpiExchanger final : public Exchanger {
 public:
  MpiExchanger(ExchangerParts parts, std::unique_ptr<Optimizer> optimizer)
      : parts_(std::move(parts)),
        optimizer_(std::move(optimizer)),
        communicator_(communicator(parts_.ranks)),
        plan_(bucket_plan_of(parts_.parameters, parts_.limits)),
        flat_(at::zeros({plan_.elements + kVotes}, parts_.parameters[0].tensor.scalar_type())),
        type_(mpi_type(flat_.scalar_type())),
        capture_(
            parts_.parameters, buckets_of(plan_), parts_.clock,
            [this](std::size_t i, const at::Tensor& gradient) { views_[i].copy_(gradient); },
            [this](int bucket) { bucket_ready(bucket); }) {
    views_ = views_of(flat_, plan_, parts_.parameters);
    all_.resize(views_.size());
    std::iota(all_.begin(), all_.end(), std::size_t{0});
    agree_on_bucket_plan(plan_.hash, parts_.ranks);
  }

  const char* name() const override { return "mpi"; }
  int buckets() const override { return static_cast<int>(plan_.buckets.size()); }
  std::int64_t gradient_bytes() const override {
    return plan_.elements * static_cast<std::int64_t>(flat_.element_size());
  }
  std::vector<std::int64_t> bucket_bytes() const override {
    return bucket_bytes_of(plan_, static_cast<std::int64_t>(flat_.element_size()));
  }
  const std::string& bucket_plan_hash() const override { return plan_.hash; }

  void begin_step(std::int64_t step, std::int64_t global_samples, double learning_rate) override {
    step_ = step;
    global_samples_ = global_samples;
    learning_rate_ = learning_rate;
    capture_.begin_step();
  }
  void begin_pass(bool last) override { capture_.begin_pass(last); }

  void bucket_ready(int bucket) override { parts_.watchdog.post(step_, bucket, "backward"); }

  std::optional<StepOutcome> finish_step(const StepVotes& votes) override {
    const c10::NoGradGuard no_grad;
    const StepOutcome outcome = sum_buckets(votes);
    if (!outcome.failed) apply();
    return outcome;
  }
  std::optional<StepOutcome> settle() override { return {}; }

  void allreduce_now(std::span<double> values) override {
    const Lap lap(parts_.clock, Activity::kSum);
    allreduce(values.data(), static_cast<std::int64_t>(values.size()), MPI_DOUBLE, "sum of metrics");
  }

  std::vector<Parameter> weights() const override { return parts_.parameters; }
  std::vector<double> take_waits() override { return std::exchange(waits_, {}); }
  std::int64_t take_bytes_exchanged() override { return std::exchange(bytes_exchanged_, 0); }

 private:
  StepOutcome sum_buckets(const StepVotes& votes) {
    const Lap lap(parts_.clock, Activity::kPublish);
    capture_.finish();
    for (std::size_t i = 0; i < views_.size(); ++i)
      if (!capture_.has(i)) views_[i].zero_();
    Ballot ballot = ballot_of(votes);
    at::Tensor tail = flat_.narrow(0, plan_.elements, kVotes);
    at::Tensor ballot_view = at::from_blob(ballot.data(), {kVotes}, at::kDouble);
    tail.copy_(ballot_view);

    char* bytes = static_cast<char*>(flat_.mutable_data_ptr());
    for (std::size_t b = 0; b < plan_.buckets.size(); ++b) {
      const BucketRange& bucket = plan_.buckets[b];
      const bool last = b + 1 == plan_.buckets.size();
      const Lap wait(parts_.clock, Activity::kWait, static_cast<int>(b));
      parts_.watchdog.post(step_, static_cast<int>(b), "exchange");
      allreduce(bytes + bucket.begin * static_cast<std::int64_t>(flat_.element_size()),
                bucket.end - bucket.begin + (last ? kVotes : 0), type_, "sum of gradients");
    }
    bytes_exchanged_ += gradient_bytes();

    ballot_view.copy_(tail);
    return outcome_of(step_, ballot, static_cast<double>(global_samples_));
  }

  /// The mean is taken here and nowhere else.
  void apply() {
    const Lap lap(parts_.clock, Activity::kApply);
    flat_.div_(global_samples_);
    if (parts_.clip_norm) clip_to_norm({flat_.narrow(0, 0, plan_.elements)}, *parts_.clip_norm);
    optimizer_->apply(all_, views_, learning_rate_);
  }

  void allreduce(void* data, std::int64_t count, MPI_Datatype type, const char* what) {
    REGATTA_ENSURE(count <= std::numeric_limits<int>::max(), "MPI 3 counts in int: lower the bucket limit");
    const auto start = std::chrono::steady_clock::now();
    {
      const WatchedWait wait(parts_.watchdog, what);
      check_mpi(MPI_Allreduce(MPI_IN_PLACE, data, static_cast<int>(count), type, MPI_SUM, communicator_), what);
    }
    waits_.push_back(seconds(std::chrono::steady_clock::now() - start));
  }

  ExchangerParts parts_;
  std::unique_ptr<Optimizer> optimizer_;
  MPI_Comm communicator_;  // the context's
  BucketPlan plan_;
  at::Tensor flat_;  // (elements + kVotes), gradients' dtype
  MPI_Datatype type_;
  std::vector<at::Tensor> views_;  // by parameter, into flat_
  std::vector<std::size_t> all_;   // parameters
  GradientCapture capture_;
  std::int64_t step_ = 0, global_samples_ = 0;
  double learning_rate_ = 0;
  std::vector<double> waits_;  // seconds by collective
  std::int64_t bytes_exchanged_ = 0;
};

}  // namespace

std::unique_ptr<Exchanger> make_mpi_exchanger(ExchangerParts parts, std::unique_ptr<Optimizer> optimizer) {
  return std::make_unique<MpiExchanger>(std::move(parts), std::move(optimizer));
}

}  // namespace regatta
