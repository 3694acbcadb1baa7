// CPU ranks beside ranks on a device: MPI's results at every lateness and the same bits everywhere, and how it ends
// when either side fails or stays away. exchange_test.cpp has its closed forms, device_waits_test.cpp its waits.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/host.hpp"
#include "tests/mpi/passing_device.hpp"
#include "tests/mpi/small_model.hpp"
#include "worker/bridge_device.hpp"
#include "worker/device_exchanger.hpp"
#include "worker/host_device.hpp"
#include "worker/mpi_sum.hpp"
#include "worker/optimizer.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;
using test::distance;
using test::ExchangeWay;
using test::LateDevice;
using test::LateOptions;
using test::MadeExchanger;
using test::MixedWorld;
using test::PassingDevice;
using test::Rule;
using test::SmallModel;
using test::world;
using testing::HasSubstr;

int rank() {
  return world().ranks.rank();
}
int ranks() {
  return world().ranks.world_size();
}
bool alone() {
  return ranks() == 1;
}

class MixedAgainstMpi : public testing::TestWithParam<Rule> {
 protected:
  static std::vector<at::Tensor> trained(const ExchangeWay& way) { return test::trained(way, GetParam(), /*steps=*/4); }
};

TEST_P(MixedAgainstMpi, GivesTheSameWeightsHoweverLate) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    const auto expected = trained({.name = "mpi", .type = type, .mpi = true});
    for (int cpu_ranks = 1; cpu_ranks < ranks(); ++cpu_ranks)
      for (const bool late : {false, true}) {
        const auto found =
            trained({.name = "mixed", .type = type, .device = LateOptions{late, late}, .cpu_ranks = cpu_ranks});
        EXPECT_LE(distance(found, expected), type == at::kDouble ? 1e-12 : GetParam().float_tolerance())
            << cpu_ranks << late;
      }
  }
}

TEST_P(MixedAgainstMpi, LosesABfloat16WiresRoundingAndNoMore) {
  if (alone()) GTEST_SKIP() << "one rank is of one kind";
  const auto expected = trained({.name = "mpi", .type = at::kFloat, .mpi = true});
  const auto found = trained({.name = "mixed",
                              .type = at::kFloat,
                              .device = LateOptions{.late_exchange = true},
                              .wire = Wire::kBf16,
                              .cpu_ranks = 1});
  // Parts, the GPUs' sum and the sum of all round by 2^-9 at most; see DeviceAgainstMpi.
  EXPECT_LE(distance(found, expected), 0x1p-8);
}

TEST_P(MixedAgainstMpi, HasTheSameBitsOnBothKindsOfRank) {
  for (const Wire wire : {Wire::kSame, Wire::kBf16}) {
    std::string found;
    for (const at::Tensor& tensor :
         trained({.name = "mixed", .type = at::kFloat, .device = LateOptions{}, .wire = wire, .cpu_ranks = 2})) {
      const at::Tensor dense = tensor.contiguous();
      found += xxh3_hex({static_cast<const char*>(dense.const_data_ptr()), dense.nbytes()});
    }
    EXPECT_EQ(found, world().ranks.broadcast(found)) << "rank 0's";
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, MixedAgainstMpi, testing::ValuesIn(test::rules()),
                         [](const auto& tested) { return tested.param.name; });

/// Work for the host is done at once, whatever the stream has come to.
class HostTooEarly final : public PassingDevice {
 public:
  using PassingDevice::PassingDevice;
  void run_on_host(Stream, std::function<void()> work) override { work(); }
};

/// Stages floats in memory that cannot be summed over MPI.
class BadStaging final : public PassingDevice {
 public:
  using PassingDevice::PassingDevice;
  at::Tensor host_memory(std::int64_t count, at::ScalarType type) override {
    return PassingDevice::host_memory(count, type == at::kFloat ? at::kBFloat16 : type);
  }
};

TEST(Mixed, NeedsTheHostsSumInTheStreamsOrder) {
  if (alone()) GTEST_SKIP() << "one rank is of one kind";
  const MixedWorld mixed = test::make_mixed_world(1);
  const auto trained = [&](bool too_early) {
    std::optional<LateDevice> late;
    std::optional<HostTooEarly> early;
    std::unique_ptr<Device> device;
    if (mixed.sums) {
      late.emplace(*mixed.sums, LateOptions{.late_exchange = true});
      early.emplace(*late);
      device = make_bridge_device(too_early ? static_cast<Device&>(*early) : *late, mixed.ranks);
    } else {
      device = make_host_device(*mixed.ranks.carriers, world().watchdog);
    }
    SmallModel model(at::kDouble, std::nullopt, [&](ExchangerParts parts) {
      auto optimizer = make_optimizer({}, parts.parameters);
      return MadeExchanger{{}, {}, make_device_exchanger(std::move(parts), std::move(optimizer), *device)};
    });
    model.step();
    return model.weights();
  };
  const auto expected = trained(false);
  EXPECT_FALSE(distance(trained(true), expected) <= 1e-6);
}

TEST(Mixed, SumsOfTheHostMoveOnWhileItComputes) {
  if (alone()) GTEST_SKIP() << "one rank is of one kind";
  const MixedWorld mixed = test::make_mixed_world(ranks() - 1);
  const auto device = [&]() -> std::unique_ptr<Device> {
    return mixed.sums ? nullptr : make_host_device(*mixed.ranks.carriers, world().watchdog);
  }();
  const at::Tensor value = at::full({3}, rank() + 1.0, at::kDouble), later = at::zeros({3}, at::kDouble);
  if (device) {
    const Event summed = device->make_event(), copied = device->make_event();
    EXPECT_TRUE(device->computes_here());
    EXPECT_TRUE(device->is_complete(summed)) << "it has not been recorded";
    device->all_reduce_sum(value);  // rank 0 has not come: this returns all the same
    device->record(summed, Stream::kExchange);
    device->copy(Stream::kExchange, later, value);
    device->record(copied, Stream::kExchange);
    bool computed = false;
    device->launch(Stream::kCompute, [&] { computed = true; });
    EXPECT_TRUE(computed) << "here and now";
    EXPECT_FALSE(device->is_complete(summed));
    world().ranks.barrier();
    device->wait(Stream::kCompute, copied);
    EXPECT_TRUE(later.eq(ranks() * (ranks() + 1) / 2.0).all().item<bool>());
  } else {
    world().ranks.barrier();
    MpiSum sum(*mixed.ranks.carriers);
    sum.begin(value);
    while (!sum.is_done()) std::this_thread::yield();
    EXPECT_TRUE(value.eq(ranks() * (ranks() + 1) / 2.0).all().item<bool>());
  }
  world().ranks.barrier();
}

/// A model in a world of its own with one CPU rank, the last, under a watchdog that only listens.
class MixedTrouble : public testing::Test {
 protected:
  void SetUp() override {
    if (alone()) GTEST_SKIP() << "one rank is of one kind";
    mixed_ = test::make_mixed_world(1);
    watchdog_.share_posts(world().ranks);
  }
  void TearDown() override {
    if (alone()) return;
    model_.reset();
    watchdog_.unshare_posts();
    world().ranks.barrier();
  }

  void make(const LateOptions& on_rank_0 = {}) {
    const LateOptions options = rank() == 0 ? on_rank_0 : LateOptions{};
    model_.emplace(
        at::kFloat, std::nullopt,
        [&](ExchangerParts parts) {
          return test::make_mixed_exchanger(mixed_, {.name = "mixed", .type = at::kFloat, .device = options},
                                            std::move(parts), {});
        },
        watchdog_);
  }

  static bool is_cpu_rank() { return rank() == ranks() - 1; }
  static bool several_gpus() { return ranks() > 2; }
  /// On the GPUs' device: two for each of three buckets and the votes.
  static constexpr std::int64_t gpu_sum_of(int step, int bucket) { return 2 * ((step - 1) * 4 + bucket); }

  struct End {
    ExitCode code = ExitCode::kDone;
    std::string message;
  };
  End train(int steps = 2) {
    const auto start = std::chrono::steady_clock::now();
    End end;
    try {
      for (int step = 0; step < steps; ++step) model_->step();
      model_->exchanger().settle();
    } catch (const CommError& error) {
      end = {error.exit_code(), error.what()};
    }
    took_ = std::chrono::steady_clock::now() - start;
    return end;
  }

  static std::string me() { return "rank " + std::to_string(rank()) + " on " + host_name(); }
  void expect_deadline(const End& end, const std::string& where) const {
    EXPECT_EQ(end.code, ExitCode::kDeadline) << end.message;
    EXPECT_THAT(end.message, HasSubstr(me() + " waited "));
    EXPECT_THAT(end.message, HasSubstr("in sum of gradients at " + where));
    EXPECT_GE(took_, kDeadline);
  }

  static constexpr Duration kDeadline = 1s;
  Watchdog watchdog_{kDeadline, [](const std::string& message) { ADD_FAILURE() << "the thread spoke: " << message; }};
  MixedWorld mixed_;
  std::optional<SmallModel> model_;
  Duration took_{};
};

TEST_F(MixedTrouble, ACpuRankThatStaysAwayIsNamedByAll) {
  make();
  train(1);
  if (is_cpu_rank()) return;  // the others' deadline ends them
  const End end = train(1);
  expect_deadline(end, "step 2, bucket 0 (exchange)");
  EXPECT_THAT(end.message, HasSubstr("Not arrived: rank " + std::to_string(ranks() - 1)));
  EXPECT_TRUE(model_->device()->aborted());
}

TEST_F(MixedTrouble, AGpuRankThatStaysAwayIsNamedByAll) {
  make();
  train(1);
  if (rank() == 0) return;
  const End end = train(1);
  expect_deadline(end, "step 2, bucket 0 (exchange)");
  EXPECT_THAT(end.message, HasSubstr("Not arrived: rank 0"));
}

TEST_F(MixedTrouble, AFailedSumOfTheGpusEndsBothKinds) {
  if (!several_gpus()) GTEST_SKIP() << "one GPU sums with nobody";
  make({.late_compute = true, .late_exchange = true, .fails_at = gpu_sum_of(2, 1)});  // noticed when somebody waits
  const End end = train();
  if (rank() == 0) {
    EXPECT_EQ(end.code, ExitCode::kCommunication);
    EXPECT_THAT(end.message, HasSubstr(me() + ": sum of gradients failed at step 2, bucket 1 (exchange)"));
    EXPECT_THAT(end.message, HasSubstr("late device: injected at sum"));
  } else {
    expect_deadline(end, "step 2, bucket 1 (exchange)");
  }
}

TEST_F(MixedTrouble, AHangingSumOfTheGpusEndsBothKinds) {
  if (!several_gpus()) GTEST_SKIP() << "one GPU sums with nobody";
  make({.hangs_at = gpu_sum_of(2, 1)});
  expect_deadline(train(), "step 2, bucket 1 (exchange)");
}

TEST_F(MixedTrouble, ACpuRankThatGaveUpSaysSoInBackward) {
  make();
  if (is_cpu_rank()) model_->around()->abort();
  const End end = train(1);
  if (is_cpu_rank()) {
    EXPECT_EQ(end.code, ExitCode::kCommunication);
    EXPECT_THAT(end.message, HasSubstr(me() + ": sum of gradients failed at step 1, bucket 0 (backward)"));
  } else {
    expect_deadline(end, "step 1, bucket 0 (exchange)");
  }
}

/// An error on the device's thread comes to whoever asks for an event.
TEST_F(MixedTrouble, AFailureOnTheDevicesThreadNamesTheRank) {
  std::optional<LateDevice> late;
  std::optional<BadStaging> bad;
  std::unique_ptr<Device> device;
  if (mixed_.sums) {
    late.emplace(*mixed_.sums, LateOptions{.late_exchange = true});
    bad.emplace(*late);
    device = make_bridge_device(*bad, mixed_.ranks);
  } else {
    device = make_host_device(*mixed_.ranks.carriers, watchdog_);
  }
  model_.emplace(
      at::kFloat, std::nullopt,
      [&](ExchangerParts parts) {
        auto optimizer = make_optimizer({}, parts.parameters);
        return MadeExchanger{{}, {}, make_device_exchanger(std::move(parts), std::move(optimizer), *device)};
      },
      watchdog_);
  const End end = train(1);
  if (rank() == 0) {
    EXPECT_THAT(end.message, HasSubstr(me() + ": sum of gradients failed at step 1, bucket 0"));
    EXPECT_THAT(end.message, HasSubstr("float64 or float32"));
  } else {
    EXPECT_EQ(end.code, ExitCode::kDeadline) << end.message;
  }
  model_.reset();  // before its device
}

}  // namespace
}  // namespace regatta
