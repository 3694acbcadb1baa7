// regatta-worker with one fault, in launches of two ranks only: REGATTA_TEST_FAULT=shifted makes rank 1 read each image
// with its neighbour's label; REGATTA_TEST_FAULT=twice takes the mean of the gradients twice on every rank;
// REGATTA_TEST_FAULT=killed_at_shares makes rank 1 slow and kills rank 0 when it would use new shares.

#include <ATen/ATen.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "tests/support/wrapped_exchanger.hpp"
#include "worker/worker.hpp"

namespace regatta {
namespace {

class ShiftedSource : public BatchSource {
 public:
  explicit ShiftedSource(std::unique_ptr<BatchSource> real) : real_(std::move(real)) {}
  std::int64_t batches_per_epoch() const override { return real_->batches_per_epoch(); }
  void start_epoch(int epoch) override { real_->start_epoch(epoch); }
  void set_shares(std::span<const std::int64_t> weights) override { real_->set_shares(weights); }
  const Batch& next() override {
    batch_ = real_->next();
    batch_.targets = batch_.targets.roll(1, 0);
    return batch_;
  }

 private:
  std::unique_ptr<BatchSource> real_;
  Batch batch_;
};

/// Gets new shares, and does not live to use them.
class MortalSource : public BatchSource {
 public:
  explicit MortalSource(std::unique_ptr<BatchSource> real) : real_(std::move(real)) {}
  std::int64_t batches_per_epoch() const override { return real_->batches_per_epoch(); }
  void start_epoch(int epoch) override { real_->start_epoch(epoch); }
  void set_shares(std::span<const std::int64_t>) override { ::raise(SIGKILL); }
  const Batch& next() override { return real_->next(); }

 private:
  std::unique_ptr<BatchSource> real_;
};

class HalvingExchanger : public test::WrappedExchanger {
 public:
  using WrappedExchanger::WrappedExchanger;
  void begin_step(std::int64_t step, std::int64_t global_samples, double learning_rate) override {
    inner().begin_step(step, global_samples, learning_rate / 2);  // of plain sgd: as if the mean were taken twice
  }
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace
}  // namespace regatta

int main(int argc, char** argv) {
  using namespace regatta;
  const std::string fault = variable("OMPI_COMM_WORLD_SIZE") == "2" ? variable("REGATTA_TEST_FAULT") : "";
  WorkerWraps wraps;
  if (fault == "shifted")
    wraps.batches = [](std::unique_ptr<BatchSource> real, const Plan&, int rank) -> std::unique_ptr<BatchSource> {
      if (rank != 1) return real;
      return std::make_unique<ShiftedSource>(std::move(real));
    };
  if (fault == "killed_at_shares") {
    wraps.batches = [](std::unique_ptr<BatchSource> real, const Plan&, int rank) -> std::unique_ptr<BatchSource> {
      if (rank != 0) return real;
      return std::make_unique<MortalSource>(std::move(real));
    };
    wraps.model = [](std::unique_ptr<Model> model, int rank) {
      if (rank == 1)
        model->parameters().back().second.register_hook(
            [](const at::Tensor&) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); });
      return model;
    };
  }
  if (fault == "twice")
    wraps.exchanger = [](std::unique_ptr<Exchanger> real, LapClock&, int) -> std::unique_ptr<Exchanger> {
      return std::make_unique<HalvingExchanger>(std::move(real));
    };
  return worker_main(argc, argv, wraps);
}
