#pragma once
// A thread that makes a rank's batches ahead of whoever takes them, in buffers of any kind.
//
// Design note. Of `kHeld` 1, batch b of an epoch lies in buffer b mod 3. The taker holds batch taken-1, the producer
// may make up to batch taken+1: the three never meet. A taker that holds two has a buffer more. `start_epoch` sets the
// counts back and raises `generation_`; a batch that was being made for an older generation is thrown away, and with it
// its error. `set_shares` does the same from batch taken on: the taker may hold batches of the old shares, the producer
// makes the following ones anew. Buffers are made on the taker's thread alone, because a device's memory is asked for
// there; larger ones, for a larger share, wait until the producer comes to the place of each.

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "worker/batch_parts.hpp"
#include "worker/input_transform.hpp"
#include "worker/loader.hpp"
#include "worker/sample_source.hpp"

namespace regatta {

/// `Buffer` has `fill(SampleSource&, InputTransform&, const BatchContent&)`, called by the producing thread. What this
/// has is for one other thread, the taker's. It may be destroyed at any moment; `plan` outlives it.
template <class Buffer, std::int64_t kHeld = 1>
class LoaderThread {
 public:
  using MakeBuffer = std::function<Buffer(std::int64_t capacity)>;

  LoaderThread(const Plan& plan, std::unique_ptr<SampleSource> source, int rank, MakeBuffer make, BeforeBatch before)
      : plan_(plan),
        source_(std::move(source)),
        rank_(rank),
        make_(std::move(make)),
        before_(std::move(before)),
        batches_(regatta::batches_per_epoch(plan.dataset.train_count, plan.training.train.batch)),
        transform_(plan, Split::kTrain),
        capacity_(largest_content(plan, plan.shares, rank)),
        buffers_(make_buffers(capacity_)),
        shares_(plan.shares),
        producer_([this] { produce(); }) {}

  ~LoaderThread() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    producer_.join();
  }
  LoaderThread(const LoaderThread&) = delete;
  LoaderThread& operator=(const LoaderThread&) = delete;

  std::int64_t batches_per_epoch() const { return batches_; }
  std::int64_t capacity() const { return capacity_; }  ///< of the buffers, by the shares in force

  void start_epoch(int epoch) {
    {
      const std::lock_guard lock(mutex_);
      epoch_ = epoch;
      ++generation_;
      taken_ = made_ = 0;
      error_ = nullptr;
    }
    changed_.notify_all();
  }

  /// As BatchSource's. `put_back`: the batch that was taken last is not wanted any more, the next one is its successor
  /// by the new shares.
  void set_shares(std::span<const std::int64_t> weights, bool put_back = false) {
    std::vector<std::optional<Buffer>> larger;
    if (const std::int64_t wanted = largest_content(plan_, weights, rank_); wanted > capacity_) {
      for (Buffer& buffer : make_buffers(wanted)) larger.emplace_back(std::move(buffer));
      capacity_ = wanted;
    }
    {
      const std::lock_guard lock(mutex_);
      if (!larger.empty()) larger_.swap(larger);
      shares_.assign(weights.begin(), weights.end());
      ++generation_;
      if (put_back) --taken_;
      made_ = taken_;
      error_ = nullptr;
    }
    changed_.notify_all();
  }

  /// Would `take` return at once, and not throw?
  bool ready() {
    const std::lock_guard lock(mutex_);
    return made_ > taken_;
  }

  /// Waits for batch 0, 1, ... of the epoch. The buffer stays as it is until `kHeld` more calls, or one that starts an
  /// epoch or puts it back. Rethrows what the producer threw.
  const Buffer& take() {
    std::unique_lock lock(mutex_);
    REGATTA_ENSURE(epoch_ > 0 && taken_ < batches_, "a batch beyond the end of its epoch");
    changed_.wait(lock, [&] { return made_ > taken_ || error_ != nullptr; });
    if (made_ <= taken_) std::rethrow_exception(error_);
    const Buffer& taken = buffers_[place(taken_++)];
    lock.unlock();
    changed_.notify_all();
    return taken;
  }

 private:
  static constexpr std::int64_t kAhead = 2;
  static constexpr std::int64_t kBuffers = kAhead + kHeld;
  static std::size_t place(std::int64_t batch) { return static_cast<std::size_t>(batch % kBuffers); }

  std::vector<Buffer> make_buffers(std::int64_t capacity) const {
    std::vector<Buffer> made;
    for (std::int64_t i = 0; i < kBuffers; ++i) made.push_back(make_(capacity));
    return made;
  }

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
      Buffer& buffer = buffers_[place(batch)];
      if (!larger_.empty() && larger_[place(batch)]) buffer = *std::exchange(larger_[place(batch)], {});
      lock.unlock();
      std::exception_ptr error;
      try {
        if (before_) before_(batch);
        buffer.fill(*source_, transform_, content_of(plan_, epoch, batch, shares, rank_));
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

  const Plan& plan_;
  const std::unique_ptr<SampleSource> source_;  // the producer's
  const int rank_;
  const MakeBuffer make_;
  const BeforeBatch before_;
  const std::int64_t batches_;
  InputTransform transform_;  // the producer's
  std::int64_t capacity_;     // the taker's

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<Buffer> buffers_;                // what is in them: the producer's, or the taker's
  std::vector<std::optional<Buffer>> larger_;  // each takes the place of one of those; or empty
  int epoch_ = 0, generation_ = 0;
  std::int64_t made_ = 0, taken_ = 0;
  std::vector<std::int64_t> shares_;
  std::exception_ptr error_;
  bool ending_ = false;
  std::thread producer_;  // last: it starts when everything else is there
};

}  // namespace regatta
