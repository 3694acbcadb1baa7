#include "worker/loader.hpp"

#include <utility>

#include "worker/batch_buffer.hpp"
#include "worker/loader_thread.hpp"

namespace regatta {

namespace {

class Loader final : public BatchSource {
 public:
  Loader(const Plan& plan, std::unique_ptr<SampleSource> source, int rank, BeforeBatch before)
      : thread_(
            plan, std::move(source), rank, [&plan](std::int64_t capacity) { return BatchBuffer(plan, capacity); },
            std::move(before)) {}

  std::int64_t batches_per_epoch() const override { return thread_.batches_per_epoch(); }
  void start_epoch(int epoch) override { thread_.start_epoch(epoch); }
  void set_shares(std::span<const std::int64_t> weights) override { thread_.set_shares(weights); }
  const Batch& next() override { return thread_.take().batch(); }

 private:
  LoaderThread<BatchBuffer> thread_;
};

class HostEvaluation final : public EvaluationSource {
 public:
  HostEvaluation(const Plan& plan, std::unique_ptr<SampleSource> source, int rank)
      : plan_(plan),
        source_(std::move(source)),
        part_(plan, rank),
        transform_(plan, Split::kTest),
        buffer_(plan, part_.largest()) {}

  std::int64_t batches() const override { return part_.batches(); }

  void set_shares(std::span<const std::int64_t> weights) override {
    part_.set_shares(weights);
    if (part_.largest() > buffer_.capacity()) buffer_ = BatchBuffer(plan_, part_.largest());
  }

  const Batch& batch(std::int64_t index) override {
    buffer_.fill(*source_, transform_, part_.content(index));
    return buffer_.batch();
  }

 private:
  const Plan& plan_;
  const std::unique_ptr<SampleSource> source_;
  TestPart part_;
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
  return std::make_unique<HostEvaluation>(plan, std::move(source), rank);
}

}  // namespace regatta
