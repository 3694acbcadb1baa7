// A whole training whose exchange runs on the device double, beside the same one on processors: the trainer with its
// stops, epochs, evaluations and changes of shares. Outcomes are one step late on a device, so a stop within an epoch
// takes one step more; everything else is the same.

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <optional>
#include <variant>

#include "jobs/models.hpp"
#include "tests/mpi/plan_for.hpp"
#include "tests/mpi/small_model.hpp"
#include "tests/support/process.hpp"
#include "tests/support/wrapped_exchanger.hpp"
#include "worker/loader.hpp"
#include "worker/node_dataset.hpp"
#include "worker/trainer.hpp"

namespace regatta {
namespace {

using test::distance;
using test::ExchangeWay;
using test::LateOptions;
using test::MadeExchanger;
using test::make_exchanger;
using test::world;

constexpr std::int64_t kStepsPerEpoch = 6, kEpochs = 3, kSteps = kStepsPerEpoch * kEpochs;
constexpr double kSame = 1e-10;

const ExchangeWay kCpu{.name = "mpi", .type = at::kDouble, .mpi = true};
std::vector<ExchangeWay> devices() {
  std::vector<ExchangeWay> ways;
  for (const bool late_compute : {false, true})
    for (const bool late_exchange : {false, true})
      ways.push_back({.name = "device", .type = at::kDouble, .device = LateOptions{late_compute, late_exchange}});
  return ways;
}

/// What happens in a step (from 1, 0: in none) when its batch is made.
struct Disturbance {
  std::int64_t signal_at = 0, nan_at = 0;  ///< on the last rank
};

class DisturbedBatches final : public BatchSource {
 public:
  DisturbedBatches(std::unique_ptr<BatchSource> inner, const Disturbance& disturbance, std::atomic<bool>& stop)
      : inner_(std::move(inner)), disturbance_(disturbance), stop_(stop) {}
  std::int64_t batches_per_epoch() const override { return inner_->batches_per_epoch(); }
  void start_epoch(int epoch) override { inner_->start_epoch(epoch); }
  void set_shares(std::span<const std::int64_t> weights) override { inner_->set_shares(weights); }
  const Batch& next() override {
    batch_ = inner_->next();
    ++step_;
    const bool here = world().ranks.rank() == world().ranks.world_size() - 1;
    if (here && step_ == disturbance_.signal_at) stop_ = true;
    if (here && step_ == disturbance_.nan_at) batch_.inputs = at::full_like(batch_.inputs, std::nan(""));
    return batch_;
  }

 private:
  std::unique_ptr<BatchSource> inner_;
  Disturbance disturbance_;
  std::atomic<bool>& stop_;
  Batch batch_;
  std::int64_t step_ = 0;
};

/// The model runs on the host here: what comes before it on the compute stream has to have happened.
class ModelOnTheHost final : public test::WrappedExchanger {
 public:
  /// `device` is null on a processor.
  ModelOnTheHost(std::unique_ptr<Exchanger> inner, test::LateDevice* device)
      : WrappedExchanger(std::move(inner)), device_(device) {}
  void begin_pass(bool last) override {
    if (device_ != nullptr) device_->finish_compute();
    inner().begin_pass(last);
  }

 private:
  test::LateDevice* device_;
};

struct Trained {
  TrainingResult result;
  std::vector<at::Tensor> weights;
  std::vector<double> losses;         // by step, on rank 0
  std::vector<record::Epoch> epochs;  // on rank 0
  std::vector<std::string> hazards;
  int buckets = 0;
};

class DeviceTraining : public testing::Test {
 protected:
  static Plan plan() {
    return test::plan_for(
        "name: device\nmodel: {kind: mlp, hidden: [8]}\n"
        "data: {format: synthetic, samples: 70, shape: [1, 4, 4], classes: 4}\n"
        "train:\n  batch: 12\n  accumulate: 2\n  precision: fp64\n  deadline: 60\n"
        "  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}\nstop: {epochs: 3}\n",
        world().ranks.world_size());
  }

  /// Collective.
  static Trained train_by(const ExchangeWay& way, const Plan& plan, const Disturbance& disturbance = {}) {
    const NodeDataset data = decode_on_node(plan, world().ranks, world().watchdog);
    const int rank = world().ranks.rank();
    LapClock clock;
    const auto model = make_model(plan.training.model, plan.dataset, plan.training.train.precision, 1);
    std::vector<Parameter> parameters;
    for (const auto& [name, tensor] : model->parameters()) parameters.push_back({name, tensor});
    MadeExchanger made = make_exchanger(way,
                                        {.parameters = parameters,
                                         .limits = {.first_bytes = 400, .other_bytes = 400},
                                         .clock = clock,
                                         .watchdog = world().watchdog,
                                         .ranks = world().ranks},
                                        plan.training.train.optimizer);
    ModelOnTheHost exchanger(std::move(made.exchanger), made.device.get());
    std::atomic<bool> stop{false};
    DisturbedBatches batches(make_loader(plan, open_source(plan, data, Split::kTrain), rank), disturbance, stop);
    const auto evaluation = make_evaluation_source(plan, open_source(plan, data, Split::kTest), rank);

    Trained trained;
    const test::TemporaryFolder folder;
    std::optional<Journal> journal;
    if (rank == 0)
      journal.emplace(folder.path(), plan.run, 1, nullptr, [&](const RecordBody& body) {
        if (const auto* early = std::get_if<record::Early>(&body)) trained.losses = early->losses;
        if (const auto* epoch = std::get_if<record::Epoch>(&body)) trained.epochs.push_back(*epoch);
      });
    trained.result = train({.plan = plan,
                            .ranks = world().ranks,
                            .watchdog = world().watchdog,
                            .clock = clock,
                            .model = *model,
                            .batches = batches,
                            .evaluation = evaluation.get(),
                            .exchanger = exchanger,
                            .journal = journal ? &*journal : nullptr,
                            .stop_requested = stop,
                            .process_start = std::chrono::steady_clock::now()});
    for (const Parameter& parameter : exchanger.weights()) trained.weights.push_back(parameter.tensor.detach().clone());
    trained.buckets = exchanger.buckets();
    if (made.device) trained.hazards = made.device->hazards();
    world().ranks.barrier();
    return trained;
  }

  static void expect_same_loss(double found, double expected, const std::string& where) {
    if (std::isfinite(expected))
      EXPECT_NEAR(found, expected, kSame * std::abs(expected)) << where;
    else
      EXPECT_FALSE(std::isfinite(found)) << where;
  }

  /// But for the seconds.
  static void expect_same(const Trained& found, const Trained& expected) {
    EXPECT_EQ(found.result.reason, expected.result.reason);
    EXPECT_EQ(found.result.exit_code, expected.result.exit_code);
    EXPECT_EQ(found.result.epochs, expected.result.epochs);
    EXPECT_EQ(found.result.steps, expected.result.steps);
    EXPECT_EQ(found.result.test_accuracy, expected.result.test_accuracy);
    EXPECT_TRUE(found.hazards.empty());
    if (expected.result.reason != "non_finite") {
      EXPECT_LE(distance(found.weights, expected.weights), kSame);
    }
    EXPECT_EQ(found.losses.size(), expected.losses.size());
    for (std::size_t i = 0; i < std::min(found.losses.size(), expected.losses.size()); ++i)
      expect_same_loss(found.losses[i], expected.losses[i], "step " + std::to_string(i + 1));
    EXPECT_EQ(found.epochs.size(), expected.epochs.size());
    for (std::size_t i = 0; i < std::min(found.epochs.size(), expected.epochs.size()); ++i) {
      const record::Epoch &line = found.epochs[i], &wanted = expected.epochs[i];
      EXPECT_EQ(line.first_step, wanted.first_step);
      EXPECT_EQ(line.last_step, wanted.last_step);
      EXPECT_EQ(line.complete, wanted.complete);
      EXPECT_EQ(line.samples, wanted.samples);
      EXPECT_EQ(line.learning_rate, wanted.learning_rate);
      EXPECT_EQ(line.bytes_exchanged, wanted.bytes_exchanged);
      EXPECT_EQ(line.test_accuracy, wanted.test_accuracy);
      EXPECT_EQ(line.test_loss.has_value(), wanted.test_loss.has_value());
      if (line.test_loss && wanted.test_loss) expect_same_loss(*line.test_loss, *wanted.test_loss, "test");
      expect_same_loss(line.train_loss, wanted.train_loss, "epoch " + std::to_string(line.epoch));
    }
  }
};

TEST_F(DeviceTraining, IsTheOneOnProcessors) {
  const Trained expected = train_by(kCpu, plan());
  EXPECT_EQ(expected.result.steps, kSteps);
  for (const ExchangeWay& way : devices()) {
    const Trained found = train_by(way, plan());
    expect_same(found, expected);
    EXPECT_EQ(found.result.ending_step, 0);
  }
}

// In the middle of an epoch; so that the step more is the epoch's last; in the last step itself, which is settled
// before the epoch ends; and one before the end of the run.
TEST_F(DeviceTraining, ASignalTakesOneStepMoreWithinAnEpoch) {
  for (const std::int64_t at : {3L, kStepsPerEpoch - 1, kStepsPerEpoch, kSteps - 1}) {
    const bool settled = at % kStepsPerEpoch == 0;
    const Trained expected = train_by(kCpu, plan(), {.signal_at = settled ? at : at + 1});
    EXPECT_EQ(expected.result.reason, "signal");
    EXPECT_EQ(expected.result.steps, settled ? at : at + 1);
    for (const ExchangeWay& way : devices()) {
      const Trained found = train_by(way, plan(), {.signal_at = at});
      expect_same(found, expected);
      EXPECT_EQ(found.result.ending_step, at);
    }
  }
}

TEST_F(DeviceTraining, TimeThatIsSpentTakesOneStepMore) {
  Plan short_plan = plan();
  short_plan.training.stop.max_time_s = 1e-9;
  const Trained cpu = train_by(kCpu, short_plan), one_more = train_by(kCpu, plan(), {.signal_at = 2});
  EXPECT_EQ(cpu.result.steps, 1);
  for (const ExchangeWay& way : devices()) {
    const Trained found = train_by(way, short_plan);
    EXPECT_EQ(found.result.reason, "max_time");
    EXPECT_EQ(found.result.exit_code, ExitCode::kDone);
    EXPECT_EQ(found.result.steps, 2);
    EXPECT_EQ(found.result.ending_step, 1);
    EXPECT_TRUE(found.result.test_accuracy.has_value()) << "the final weights have figures";
    EXPECT_LE(distance(found.weights, one_more.weights), kSame);
    if (world().ranks.rank() != 0) continue;
    EXPECT_EQ(found.losses.size(), 2U);
    expect_same_loss(found.losses.front(), cpu.losses.front(), "step 1");
    expect_same_loss(found.losses.back(), one_more.losses.back(), "step 2");
    EXPECT_EQ(found.epochs.back().last_step, 2);
    EXPECT_FALSE(found.epochs.back().complete);
  }
}

TEST_F(DeviceTraining, ALossThatIsNotFiniteEndsOnAllAndNamesItsStep) {
  for (const std::int64_t at : {2L, kStepsPerEpoch - 1, kStepsPerEpoch}) {
    const Trained cpu = train_by(kCpu, plan(), {.nan_at = at});
    EXPECT_EQ(cpu.result.steps, at);
    EXPECT_EQ(cpu.result.ending_step, at);
    for (const ExchangeWay& way : devices()) {
      const Trained found = train_by(way, plan(), {.nan_at = at});
      EXPECT_EQ(found.result.reason, "non_finite");
      EXPECT_EQ(found.result.exit_code, ExitCode::kNonFiniteLoss);
      EXPECT_EQ(found.result.ending_step, at);
      EXPECT_EQ(found.result.steps, at + (at == kStepsPerEpoch ? 0 : 1));
      EXPECT_EQ(found.result.epochs, 0);
      EXPECT_FALSE(std::isfinite(found.result.train_loss));
      EXPECT_FALSE(found.result.test_accuracy.has_value());
      if (world().ranks.rank() != 0) continue;
      EXPECT_EQ(static_cast<std::int64_t>(found.losses.size()), found.result.steps);
      for (std::size_t i = 0; i < cpu.losses.size(); ++i)
        expect_same_loss(found.losses[i], cpu.losses[i], "step " + std::to_string(i + 1));
      EXPECT_FALSE(found.epochs.back().complete);
    }
  }
}

TEST_F(DeviceTraining, ATargetThatIsMetEndsBothAfterTheSameStep) {
  Plan easy = plan();
  easy.training.stop.target_loss = 1000;
  const Trained expected = train_by(kCpu, easy);
  EXPECT_EQ(expected.result.reason, "target_loss");
  EXPECT_EQ(expected.result.steps, kStepsPerEpoch);
  for (const ExchangeWay& way : devices()) expect_same(train_by(way, easy), expected);
}

TEST_F(DeviceTraining, SharesMayChangeWithinAnEpochAndBetweenThem) {
  if (world().ranks.world_size() == 1) GTEST_SKIP() << "one rank has all of it";
  Plan changing = plan();
  std::vector<std::int64_t> first(static_cast<std::size_t>(world().ranks.world_size()), 1), second = first;
  first[0] = 3;
  second[1] = 0;
  changing.share_changes = {{.from_step = 3, .weights = first}, {.from_step = kStepsPerEpoch + 1, .weights = second}};
  const Trained expected = train_by(kCpu, changing);
  EXPECT_LE(distance(expected.weights, train_by(kCpu, plan()).weights), kSame);
  for (const ExchangeWay& way : devices()) expect_same(train_by(way, changing), expected);
}

// The device has microseconds for what takes the host, which runs the model here, far longer: what is left is `other`.
TEST_F(DeviceTraining, SecondsAreTheDevicesAndSumToTheWall) {
  constexpr double kWork = 2e-6, kCopy = 1e-6, kSum = 0;
  ExchangeWay way{.name = "device", .type = at::kDouble, .device = LateOptions{.late_exchange = true}};
  way.device->seconds = {.work = kWork, .copy = kCopy, .sum = kSum};
  const Trained found = train_by(way, plan());
  for (const record::Epoch& epoch : found.epochs) {
    EXPECT_NEAR(epoch.seconds.sum(), epoch.wall_s, 0.01 * epoch.wall_s);
    const double steps = static_cast<double>(epoch.last_step - epoch.first_step + 1);
    EXPECT_NEAR(epoch.seconds[Phase::kOptimizer], steps * found.buckets * kWork, 1e-12);
    EXPECT_NEAR(epoch.seconds[Phase::kCompute], 0, 1e-12);
    EXPECT_GT(epoch.seconds[Phase::kEvaluation], 0);
    EXPECT_GT(epoch.seconds[Phase::kOther], 0);
    EXPECT_EQ(epoch.exchange_hidden_s, 0);
  }
}

}  // namespace
}  // namespace regatta
