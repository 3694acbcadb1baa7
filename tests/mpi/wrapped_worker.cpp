// The real worker with its parts wrapped, as WorkerWraps allows: it writes down what the loaders delivered and makes a
// chosen part slow. Told by environment variables that only this program reads:
//   REGATTA_TEST_DELIVERED=DIR     DIR/rank-R gets a line "epoch batch: sample sample ..." for each batch
//   REGATTA_TEST_DELAY=PART        production | exchange | optimizer | evaluation | compute; exchange and optimizer
//                                  are the MPI exchanger's, so with REGATTA_WITHOUT=node_exchanger
//   REGATTA_TEST_DELAY_MS=N        a step (or a batch of the evaluation, or a sum of gradients)
//   REGATTA_TEST_DELAY_RANK=R      only on rank R; absent: on all
//   REGATTA_TEST_DEVICE=late       where the plan says nccl: on late_device.hpp's double, whose sums are late
//   REGATTA_TEST_MEMORY=N          a pass of more than N samples is out of memory, as on a GPU
//   REGATTA_TEST_HOSTS=0,0,1       by rank: as if it stood on the host of this number
//   REGATTA_TEST_STOP_AT=STEP      rank 0 gets USR1 before this step, the last one then

#include <ATen/core/Tensor.h>

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/mpi/late_device.hpp"
#include "tests/support/small_memory_model.hpp"
#include "tests/support/wrapped_exchanger.hpp"
#include "worker/worker.hpp"

namespace regatta {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Sleeps where it is called, on the ranks that were chosen.
class Delay {
 public:
  explicit Delay(const std::string& part) {
    const std::string duration = variable("REGATTA_TEST_DELAY_MS"), rank = variable("REGATTA_TEST_DELAY_RANK");
    if (variable("REGATTA_TEST_DELAY") != part || duration.empty()) return;
    duration_ = std::chrono::milliseconds(std::stoi(duration));
    if (!rank.empty()) rank_ = std::stoi(rank);
  }
  void operator()(int rank) const {
    if (rank_ < 0 || rank_ == rank) std::this_thread::sleep_for(duration_);
  }

 private:
  std::chrono::milliseconds duration_{0};
  int rank_ = -1;
};

/// The double that a run's ranks compute on, where there is one.
test::LateDevice* late_device = nullptr;

/// The model runs on the host, where a device's would follow what was launched before it.
void follow_device() {
  if (late_device != nullptr) late_device->finish_compute();
}

std::unique_ptr<Device> make_late_device(RankContext& ranks) {
  static test::HostSums sums(ranks);
  auto device = std::make_unique<test::LateDevice>(sums, test::LateOptions{.late_exchange = true});
  late_device = device.get();
  return device;
}

class RecordedBatches final : public BatchSource {
 public:
  RecordedBatches(std::unique_ptr<BatchSource> inner, const std::string& folder, int rank)
      : inner_(std::move(inner)), file_(folder + "/rank-" + std::to_string(rank)) {}
  std::int64_t batches_per_epoch() const override { return inner_->batches_per_epoch(); }
  void start_epoch(int epoch) override {
    epoch_ = epoch;
    batch_ = 0;
    inner_->start_epoch(epoch);
  }
  void set_shares(std::span<const std::int64_t> weights) override { inner_->set_shares(weights); }
  const Batch& next() override {
    const Batch& batch = inner_->next();
    follow_device();
    file_ << epoch_ << ' ' << batch_++ << ':';
    for (const std::int64_t sample : batch.samples) file_ << ' ' << sample;
    file_ << '\n';
    return batch;
  }

 private:
  std::unique_ptr<BatchSource> inner_;
  std::ofstream file_;
  int epoch_ = 0;
  std::int64_t batch_ = 0;
};

class SlowEvaluation final : public EvaluationSource {
 public:
  SlowEvaluation(std::unique_ptr<EvaluationSource> inner, Delay delay, int rank)
      : inner_(std::move(inner)), delay_(delay), rank_(rank) {}
  std::int64_t batches() const override { return inner_->batches(); }
  void set_shares(std::span<const std::int64_t> weights) override { inner_->set_shares(weights); }
  const Batch& batch(std::int64_t index) override {
    delay_(rank_);
    const Batch& batch = inner_->batch(index);
    follow_device();
    return batch;
  }

 private:
  std::unique_ptr<EvaluationSource> inner_;
  Delay delay_;
  int rank_;
};

class SlowOptimizer final : public Optimizer {
 public:
  SlowOptimizer(std::unique_ptr<Optimizer> inner, Delay delay, int rank)
      : inner_(std::move(inner)), delay_(delay), rank_(rank) {}
  void apply(const std::vector<std::size_t>& parameters, const std::vector<at::Tensor>& mean_gradients,
             double learning_rate) override {
    if (std::find(parameters.begin(), parameters.end(), 0U) != parameters.end()) delay_(rank_);  // once a step
    inner_->apply(parameters, mean_gradients, learning_rate);
  }

 private:
  std::unique_ptr<Optimizer> inner_;
  Delay delay_;
  int rank_;
};

/// At a chosen step told to stop.
class StoppingExchanger final : public test::WrappedExchanger {
 public:
  StoppingExchanger(std::unique_ptr<Exchanger> inner, int rank) : WrappedExchanger(std::move(inner)) {
    const std::string step = variable("REGATTA_TEST_STOP_AT");
    if (rank == 0 && !step.empty()) stop_at_ = std::stoll(step);
  }
  void begin_step(std::int64_t step, std::int64_t global_samples, double learning_rate) override {
    if (step == stop_at_) ::raise(SIGUSR1);
    inner().begin_step(step, global_samples, learning_rate);
  }

 private:
  std::int64_t stop_at_ = 0;  // 0: never
};

WorkerWraps wraps() {
  WorkerWraps wraps;
  if (variable("REGATTA_TEST_DEVICE") == "late") wraps.device = make_late_device;
  if (const std::string folder = variable("REGATTA_TEST_DELIVERED"); !folder.empty())
    wraps.batches = [folder](auto inner, const Plan&, int rank) {
      return std::make_unique<RecordedBatches>(std::move(inner), folder, rank);
    };
  if (const std::string hosts = variable("REGATTA_TEST_HOSTS"); !hosts.empty())
    wraps.host_of = [hosts](int rank) {
      return hosts.at(2 * static_cast<std::size_t>(rank)) - '0';  // one digit each
    };
  wraps.before_batch = [delay = Delay("production")](int rank, std::int64_t) { delay(rank); };
  wraps.evaluation = [](auto inner, int rank) {
    return std::make_unique<SlowEvaluation>(std::move(inner), Delay("evaluation"), rank);
  };
  wraps.optimizer = [](auto inner, int rank) {
    return std::make_unique<SlowOptimizer>(std::move(inner), Delay("optimizer"), rank);
  };
  wraps.exchanger = [](auto inner, LapClock&, int rank) {
    return std::make_unique<StoppingExchanger>(std::move(inner), rank);
  };
  wraps.model = [](std::unique_ptr<Model> model, int rank) -> std::unique_ptr<Model> {  // in backward, once a step
    model->parameters().back().second.register_hook(
        [delay = Delay("compute"), rank](const at::Tensor&) { delay(rank); });
    const std::string limit = variable("REGATTA_TEST_MEMORY");
    if (limit.empty()) return model;
    return std::make_unique<test::SmallMemoryModel>(std::move(model), std::stoll(limit));
  };
  return wraps;
}

}  // namespace
}  // namespace regatta

/// A slow network: MPI's profiling interface lets a program put its own function before the library's, so the delay
/// lies where the wire is, and the exchanger accounts for it as for any other wait. Gradients are the sums in float;
/// votes and metrics are summed in double.
extern "C" int MPI_Allreduce(const void* from, void* to, int count, MPI_Datatype type, MPI_Op op, MPI_Comm ranks) {
  static const regatta::Delay delay("exchange");
  if (type == MPI_FLOAT) {
    int rank = 0;
    PMPI_Comm_rank(ranks, &rank);
    delay(rank);
  }
  return PMPI_Allreduce(from, to, count, type, op, ranks);
}

int main(int argc, char** argv) {
  return regatta::worker_main(argc, argv, regatta::wraps());
}
