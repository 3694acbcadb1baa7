// The exchanger over the device's waist, on a device in host memory: MPI's results at every lateness, and how it ends
// when a sum fails or never comes. exchange_test.cpp has its closed forms, device_waits_test.cpp each of its waits.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <optional>
#include <utility>

#include "common/error.hpp"
#include "common/host.hpp"
#include "tests/mpi/small_model.hpp"
#include "worker/device_exchanger.hpp"
#include "worker/optimizer.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;
using test::distance;
using test::ExchangeWay;
using test::LateDevice;
using test::LateOptions;
using test::MadeExchanger;
using test::Rule;
using test::SmallModel;
using test::world;
using testing::HasSubstr;

class DeviceAgainstMpi : public testing::TestWithParam<Rule> {
 protected:
  static std::vector<at::Tensor> trained(const ExchangeWay& way) { return test::trained(way, GetParam(), /*steps=*/4); }
};

TEST_P(DeviceAgainstMpi, GivesTheSameWeightsHoweverLate) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    const auto expected = trained({.name = "mpi", .type = type, .mpi = true});
    for (const bool late_compute : {false, true})
      for (const bool late_exchange : {false, true}) {
        const auto found =
            trained({.name = "device", .type = type, .device = LateOptions{late_compute, late_exchange}});
        EXPECT_LE(distance(found, expected), type == at::kDouble ? 1e-12 : GetParam().float_tolerance())
            << late_compute << late_exchange;
      }
  }
}

TEST_P(DeviceAgainstMpi, LosesABfloat16WiresRoundingAndNoMore) {
  const auto expected = trained({.name = "mpi", .type = at::kFloat, .mpi = true});
  const auto found = trained(
      {.name = "device", .type = at::kFloat, .device = LateOptions{.late_exchange = true}, .wire = Wire::kBf16});
  // Parts and sums round by 2^-9 at most, and four steps at rates to 0.04 move the weights by less than they are long.
  EXPECT_LE(distance(found, expected), 0x1p-8);
}

TEST_P(DeviceAgainstMpi, AnOverflowOnOneRankSkipsTheStepOnAll) {
  const bool last_rank = world().ranks.rank() == world().ranks.world_size() - 1;
  const std::vector<bool> overflows{true, false, true, false, false};  // also where the optimizer has no state yet
  SmallModel expected({.name = "mpi", .type = at::kFloat, .mpi = true}, GetParam().spec, GetParam().clip_norm);
  for (const bool overflow : overflows) {
    if (overflow)
      expected.leave_out_step();
    else
      expected.step(GetParam().passes);
  }
  for (const bool late : {false, true}) {
    SmallModel model({.name = "scaled",
                      .type = at::kFloat,
                      .device = LateOptions{late, late},
                      .loss_scale = LossScaleRule{.growth_steps = 2}},
                     GetParam().spec, GetParam().clip_norm);
    bool overflow = false;
    if (last_rank)
      model.parameters()[2].tensor.register_hook(
          [&](const at::Tensor& gradient) { return overflow ? gradient / 0 : gradient; });
    for (const bool now : overflows) {
      overflow = now;
      const auto before = model.step(GetParam().passes, {.loss_sum = 8});
      EXPECT_FALSE(before && before->failed) << "a skipped step is no failure";
    }
    EXPECT_LE(distance(model.weights(), expected.weights()), GetParam().float_tolerance()) << late;
    EXPECT_EQ(model.loss_scale().scale().item<double>(), 65536 / 2 / 2 * 2) << "two skips, then two good steps";
    EXPECT_TRUE(model.device()->hazards().empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, DeviceAgainstMpi, testing::ValuesIn(test::rules()),
                         [](const auto& tested) { return tested.param.name; });

TEST(DeviceExchanger, LeavesTheUpdateToTheDevice) {
  SmallModel model({.name = "device", .type = at::kFloat, .device = LateOptions{.late_compute = true}}, {}, {});
  const auto raw = [&] {
    std::vector<at::Tensor> copies;
    for (const Parameter& parameter : model.parameters()) copies.push_back(parameter.tensor.detach().clone());
    return copies;
  };
  const auto before = raw();
  EXPECT_FALSE(model.step(1, {.loss_sum = 8}).has_value()) << "nothing was known before the first step";
  EXPECT_EQ(distance(raw(), before), 0) << "the update waits for its turn, and nobody for the update";
  EXPECT_EQ(model.exchanger().settle().value().loss, world().ranks.world_size());
  EXPECT_GT(distance(raw(), before), 0);
}

TEST(DeviceExchanger, TellsOutcomesOneStepLateAndInOrder) {
  const double ranks = world().ranks.world_size();
  for (const bool late_compute : {false, true})
    for (const bool late_exchange : {false, true}) {
      SmallModel model({.name = "device", .type = at::kFloat, .device = LateOptions{late_compute, late_exchange}}, {},
                       {});
      std::vector<StepOutcome> outcomes;
      for (std::int64_t step = 1; step <= 5; ++step) {
        StepVotes votes{.loss_sum = 8, .stop = step == 2 ? 1 : 0};
        for (int pass = 1; pass <= 2; ++pass) votes.loss_sum.add(at::full({}, 8.0 * static_cast<double>(step)));
        const auto outcome = model.step(1, votes);
        EXPECT_EQ(outcome.has_value(), step > 1 && step != 5) << "settled after the fourth";
        if (outcome) outcomes.push_back(*outcome);
        if (step < 4) continue;
        outcomes.push_back(model.exchanger().settle().value());
        EXPECT_FALSE(model.exchanger().settle().has_value());
      }
      EXPECT_EQ(outcomes.size(), 5U);
      for (std::size_t i = 0; i < outcomes.size(); ++i) {
        EXPECT_EQ(outcomes[i].step, static_cast<std::int64_t>(i) + 1);
        EXPECT_EQ(outcomes[i].loss, ranks * (1 + 2 * static_cast<double>(i + 1)));
        EXPECT_EQ(outcomes[i].stop, i == 1);
      }
    }
}

TEST(DeviceExchanger, OverflowAtEveryScaleIsAFailureOnAllRanks) {
  SmallModel model({.name = "scaled",
                    .type = at::kFloat,
                    .device = LateOptions{.late_compute = true, .late_exchange = true},
                    .loss_scale = LossScaleRule{.most_skips = 3}},
                   {}, {});
  const auto before = model.weights();
  if (world().ranks.rank() == 0)
    model.parameters()[4].tensor.register_hook([](const at::Tensor& gradient) { return gradient / 0; });
  for (int step = 1; step <= 4; ++step) {
    const auto last = model.step(1, {.loss_sum = 8});
    EXPECT_FALSE(last && last->failed) << step;
  }
  const StepOutcome outcome = model.exchanger().settle().value_or(StepOutcome{});
  EXPECT_EQ(outcome.step, 4) << "the first step after three that were skipped";
  EXPECT_TRUE(outcome.failed && outcome.overflowed);
  EXPECT_EQ(outcome.loss, world().ranks.world_size()) << "the loss itself was fine";
  EXPECT_EQ(distance(model.weights(), before), 0);
  EXPECT_EQ(model.loss_scale().scale().item<double>(), 65536.0 / 16);
}

/// A model whose device fails or hangs on the last rank, under a watchdog of its own that only listens.
class Trouble : public testing::Test {
 protected:
  ~Trouble() override {
    watchdog_.unshare_posts();
    world().ranks.barrier();
  }

  void make(const LateOptions& on_the_last_rank) {
    watchdog_.share_posts(world().ranks);
    const LateOptions options = last_rank() ? on_the_last_rank : LateOptions{};
    model_.emplace(
        at::kFloat, std::nullopt,
        [&](ExchangerParts parts) {
          return test::make_exchanger({.name = "device", .type = at::kFloat, .device = options}, std::move(parts), {});
        },
        watchdog_);
    EXPECT_EQ(model_->exchanger().buckets(), kBuckets);
  }

  static constexpr int kBuckets = 3;
  /// The votes' is the one behind the buckets'.
  static constexpr std::int64_t sum_of(int step, int bucket) { return (step - 1) * (kBuckets + 1) + bucket; }
  static bool last_rank() { return world().ranks.rank() == world().ranks.world_size() - 1; }

  struct End {
    ExitCode code = ExitCode::kDone;
    std::string message;
  };
  /// Of the first of two steps that throws, or of settling them.
  End train() {
    try {
      for (int step = 0; step < 2; ++step) model_->step();
      model_->exchanger().settle();
    } catch (const CommError& error) {
      return {error.exit_code(), error.what()};
    }
    return {};
  }

  static std::string me() { return "rank " + std::to_string(world().ranks.rank()) + " on " + host_name(); }

  static constexpr Duration kDeadline = 1s;
  Watchdog watchdog_{kDeadline, [](const std::string& message) { ADD_FAILURE() << "the thread spoke: " << message; }};
  std::optional<SmallModel> model_;
};

TEST_F(Trouble, AFailedSumNamesRankHostStepAndBucket) {
  make({.late_compute = true, .late_exchange = true, .fails_at = sum_of(2, 1)});  // noticed when somebody waits
  const End end = train();
  if (last_rank()) {
    EXPECT_EQ(end.code, ExitCode::kCommunication);
    EXPECT_THAT(end.message, HasSubstr(me() + ": sum of gradients failed at step 2, bucket 1 (exchange)"));
    EXPECT_THAT(end.message, HasSubstr("late device: injected at sum 5"));
  } else {
    EXPECT_EQ(end.code, ExitCode::kDeadline) << "nobody told them";
    EXPECT_THAT(end.message, HasSubstr("Not arrived: "));
  }
  EXPECT_TRUE(model_->device()->aborted());
}

class Hang : public Trouble, public testing::WithParamInterface<int> {};

TEST_P(Hang, EndsByTheDeadlineAndNamesTheBucket) {
  const bool at_votes = GetParam() == kBuckets;
  make({.hangs_at = sum_of(2, GetParam())});
  const auto start = std::chrono::steady_clock::now();
  const End end = train();
  if (!last_rank() && at_votes) {  // the last sum of all: they have had the last rank's part
    EXPECT_EQ(end.code, ExitCode::kDone) << end.message;
    return;
  }
  EXPECT_GE(std::chrono::steady_clock::now() - start, kDeadline);
  EXPECT_EQ(end.code, ExitCode::kDeadline);
  EXPECT_THAT(end.message, HasSubstr(me() + " waited "));
  EXPECT_THAT(end.message, HasSubstr("longer than the deadline of 1.0 s"));
  // The others wait for what the last rank never comes to; the votes belong to the last bucket.
  const int bucket = std::min(last_rank() ? GetParam() : GetParam() + 1, kBuckets - 1);
  EXPECT_THAT(end.message, HasSubstr(fmt::format("in sum of gradients at step 2, bucket {} (exchange)", bucket)));
  if (!last_rank() && bucket > GetParam()) {
    EXPECT_THAT(end.message, HasSubstr("Not arrived: rank "));
  }
  EXPECT_TRUE(model_->device()->aborted());
}

INSTANTIATE_TEST_SUITE_P(AtEachSum, Hang, testing::Range(0, 4));

TEST_F(Trouble, AnOutcomeThatNeverComesIsMissedInTheNextStep) {
  make({.hangs_at = sum_of(1, kBuckets)});
  const End end = train();
  EXPECT_EQ(end.code, ExitCode::kDeadline);
  const auto [step, bucket] = last_rank() ? std::pair(1, kBuckets - 1) : std::pair(2, 0);  // the others have had it
  EXPECT_THAT(end.message,
              HasSubstr(fmt::format("in sum of gradients at step {}, bucket {} (exchange)", step, bucket)));
}

TEST_F(Trouble, ADeviceThatFailedBeforeIsNoticedAsAStepBegins) {
  make({});
  if (last_rank()) model_->device()->abort();
  const End end = train();
  if (last_rank()) {
    EXPECT_THAT(end.message, HasSubstr(me() + ": time line failed at step 1 (begin)"));
  } else {
    EXPECT_EQ(end.code, ExitCode::kDeadline);
    EXPECT_THAT(end.message, HasSubstr("at step 1, bucket 0 (exchange)"));
  }
}

}  // namespace
}  // namespace regatta
