// regatta-worker with one fault, in launches of two ranks only: REGATTA_TEST_FAULT=shifted makes rank 1 read each image
// with its neighbour's label; REGATTA_TEST_FAULT=twice takes the mean of the gradients twice on every rank.

#include <ATen/ATen.h>

#include <cstdlib>
#include <string>

#include "tests/support/wrapped_exchanger.hpp"
#include "worker/worker.hpp"

namespace regatta {
namespace {

class ShiftedSource : public BatchSource {
 public:
  explicit ShiftedSource(std::unique_ptr<BatchSource> real) : real_(std::move(real)) {}
  std::int64_t batches_per_epoch() const override { return real_->batches_per_epoch(); }
  void start_epoch(int epoch) override { real_->start_epoch(epoch); }
  const Batch& next() override {
    batch_ = real_->next();
    batch_.targets = batch_.targets.roll(1, 0);
    return batch_;
  }

 private:
  std::unique_ptr<BatchSource> real_;
  Batch batch_;
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
  if (fault == "twice")
    wraps.exchanger = [](std::unique_ptr<Exchanger> real, LapClock&, int) -> std::unique_ptr<Exchanger> {
      return std::make_unique<HalvingExchanger>(std::move(real));
    };
  return worker_main(argc, argv, wraps);
}
