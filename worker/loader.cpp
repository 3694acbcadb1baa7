// Design note. Batch b of an epoch lies in buffer b mod 3. The trainer holds batch taken-1, the producer may make up to
// batch taken+1: the three never meet. `start_epoch` sets the counts back and raises `generation_`; a batch that was
// being made for an older generation is thrown away, and with it its error. `set_shares` does the same from batch taken
// on: the trainer may hold a batch of the old shares, the producer makes the following ones anew.

#include "worker/loader.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "jobs/sample_order.hpp"
#include "jobs/shares.hpp"
#include "worker/batch_buffer.hpp"

namespace regatta {

namespace {

constexpr std::int64_t kAhead = 2;
constexpr std::size_t kBuffers = kAhead + 1;

/// The rank's part of each micro-batch of a global batch, in order.
std::vector<PositionRange> parts_of(PositionRange global, std::int64_t count, std::span<const std::int64_t> shares,
                                    int rank) {
  std::vector<PositionRange> parts;
  for (std::int64_t part = 0; part < count; ++part)
    parts.push_back(share_of(micro_batch(global, count, part), shares, rank));
  return parts;
}

/// The most samples that the rank gets in any batch: of a full one, or of the short last one (never more by a whole
/// sample a part, but rounding may favour it).
std::int64_t largest_share(const Plan& plan, std::span<const std::int64_t> shares, int rank) {
  const auto share = [&](std::int64_t size) {
    std::int64_t samples = 0;
    for (const PositionRange& part : parts_of({0, size}, plan.training.train.accumulate, shares, rank))
      samples += part.size();
    return samples;
  };
  const std::int64_t count = plan.dataset.train_count, batch = plan.training.train.batch;
  return std::max(share(std::min(batch, count)), share(count % batch));
}

class Loader final : public BatchSource {
 public:
  Loader(const Plan& plan, std::unique_ptr<SampleSource> source, int rank, BeforeBatch before)
      : plan_(plan),
        source_(std::move(source)),
        rank_(rank),
        before_(std::move(before)),
        batches_(regatta::batches_per_epoch(plan.dataset.train_count, plan.training.train.batch)),
        transform_(plan, Split::kTrain),
        buffers_{first_buffer(), first_buffer(), first_buffer()},
        shares_(plan.shares),
        producer_([this] { produce(); }) {}

  ~Loader() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    producer_.join();
  }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  std::int64_t batches_per_epoch() const override { return batches_; }

  void start_epoch(int epoch) override {
    {
      const std::lock_guard lock(mutex_);
      epoch_ = epoch;
      ++generation_;
      taken_ = made_ = 0;
      error_ = nullptr;
    }
    changed_.notify_all();
  }

  void set_shares(std::span<const std::int64_t> weights) override {
    {
      const std::lock_guard lock(mutex_);
      shares_.assign(weights.begin(), weights.end());
      ++generation_;
      made_ = taken_;
      error_ = nullptr;
    }
    changed_.notify_all();
  }

  const Batch& next() override {
    std::unique_lock lock(mutex_);
    REGATTA_ENSURE(epoch_ > 0 && taken_ < batches_, "a batch beyond the end of its epoch");
    changed_.wait(lock, [&] { return made_ > taken_ || error_ != nullptr; });
    if (made_ <= taken_) std::rethrow_exception(error_);
    const Batch& batch = buffer(taken_++).batch();
    lock.unlock();
    changed_.notify_all();
    return batch;
  }

 private:
  BatchBuffer first_buffer() const { return {plan_, largest_share(plan_, plan_.shares, rank_)}; }
  BatchBuffer& buffer(std::int64_t batch) { return buffers_[static_cast<std::size_t>(batch) % kBuffers]; }

  void produce() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] {
        const bool wanted = epoch_ > 0 && error_ == nullptr && made_ < std::min(batches_, taken_ + kAhead);
        return ending_ || wanted;
      });
      if (ending_) return;
      const std::int64_t batch = made_;
      const int epoch = epoch_, generation = generation_;
      const std::vector<std::int64_t> shares = shares_;
      lock.unlock();
      std::exception_ptr error;
      try {
        if (before_) before_(batch);
        make(epoch, batch, shares);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (generation != generation_) continue;
      if (error == nullptr)
        ++made_;
      else
        error_ = error;
      changed_.notify_all();
    }
  }

  void make(int epoch, std::int64_t batch, std::span<const std::int64_t> shares) {
    const SampleOrder order(plan_.dataset.train_count, plan_.training.train.seed, epoch);
    const PositionRange global = global_batch(plan_.dataset.train_count, plan_.training.train.batch, batch);
    BatchContent content{.epoch = epoch, .global_samples = global.size()};
    for (const PositionRange& part : parts_of(global, plan_.training.train.accumulate, shares, rank_)) {
      for (std::int64_t position = part.begin; position < part.end; ++position)
        content.samples.push_back(order(position));
      content.parts.push_back(part.size());
    }
    if (static_cast<std::int64_t>(content.samples.size()) > buffer(batch).capacity())
      buffer(batch) = BatchBuffer(plan_, largest_share(plan_, shares, rank_));
    buffer(batch).fill(*source_, transform_, content);
  }

  const Plan& plan_;
  const std::unique_ptr<SampleSource> source_;  // the producer's
  const int rank_;
  const BeforeBatch before_;
  const std::int64_t batches_;
  InputTransform transform_;  // the producer's
  std::array<BatchBuffer, kBuffers> buffers_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  int epoch_ = 0, generation_ = 0;
  std::int64_t made_ = 0, taken_ = 0;
  std::vector<std::int64_t> shares_;
  std::exception_ptr error_;
  bool ending_ = false;
  std::thread producer_;  // last: it starts when everything else is there
};

constexpr std::int64_t kEvaluationBatch = 1000;  // over all ranks; more would only take memory

class TestPart final : public EvaluationSource {
 public:
  TestPart(const Plan& plan, std::unique_ptr<SampleSource> source, int rank)
      : plan_(plan),
        source_(std::move(source)),
        rank_(rank),
        part_(share_of({0, plan.dataset.test_count}, plan.shares, rank)),
        batch_size_(
            std::max<std::int64_t>(1, std::min(plan.training.train.batch, kEvaluationBatch) / plan.placement.ranks)),
        transform_(plan, Split::kTest),
        buffer_(plan, std::min(batch_size_, part_.size())) {}

  void set_shares(std::span<const std::int64_t> weights) override {
    part_ = share_of({0, plan_.dataset.test_count}, weights, rank_);
    const std::int64_t largest = std::min(batch_size_, part_.size());
    if (largest > buffer_.capacity()) buffer_ = BatchBuffer(plan_, largest);
  }

  std::int64_t batches() const override { return part_.size() == 0 ? 0 : batches_per_epoch(part_.size(), batch_size_); }

  const Batch& batch(std::int64_t index) override {
    REGATTA_ENSURE(index >= 0 && index < batches(), "a batch beyond the test set");
    const PositionRange range = global_batch(part_.size(), batch_size_, index);
    BatchContent content{.parts = {range.size()}, .global_samples = range.size()};
    for (std::int64_t i = range.begin; i < range.end; ++i) content.samples.push_back(part_.begin + i);
    buffer_.fill(*source_, transform_, content);
    return buffer_.batch();
  }

 private:
  const Plan& plan_;
  const std::unique_ptr<SampleSource> source_;
  const int rank_;
  PositionRange part_;
  const std::int64_t batch_size_;
  InputTransform transform_;
  BatchBuffer buffer_;
};

}  // namespace

std::unique_ptr<BatchSource> make_loader(const Plan& plan, std::unique_ptr<SampleSource> source, int rank,
                                         BeforeBatch before) {
  return std::make_unique<Loader>(plan, std::move(source), rank, std::move(before));
}

std::unique_ptr<EvaluationSource> make_evaluation_source(const Plan& plan, std::unique_ptr<SampleSource> source,
                                                         int rank) {
  return std::make_unique<TestPart>(plan, std::move(source), rank);
}

}  // namespace regatta
