// Seconds by the device's own clock, in closed form: the double's times are as exact as the test that sets them.

#include "worker/device_time_line.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/mpi/passing_device.hpp"
#include "tests/mpi/small_model.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

using test::host_sums;
using test::LateDevice;
using test::LateOptions;
using test::SmallModel;
using test::world;

constexpr double kExact = 1e-12;

void finish(LateDevice& device) {
  for (const Stream stream : {Stream::kExchange, Stream::kCompute}) {
    const Event event = device.make_event();
    device.record(event, stream);
    EXPECT_TRUE(test::wait_until([&] { return device.is_complete(event); }));
  }
}

TEST(DeviceTimeLine, CutsAStreamsTimeIntoPhases) {
  LateDevice device(host_sums(), {.late_compute = true});
  DeviceTimeLine line(device);
  line.mark(Phase::kCompute);  // outside of a stretch: nothing
  EXPECT_FALSE(line.running());
  device.pass(100);
  for (std::int64_t step = 1; step <= 3; ++step) {
    line.begin_step(step);
    device.pass(step == 1 ? 2 : 0.5);  // the host brings a batch; the device has work of 5 s left, but at first
    line.begin_step(step);
    line.mark(Phase::kDataWait);
    device.take_time(Stream::kCompute, 4);
    line.mark(Phase::kCompute);
    device.take_time(Stream::kCompute, 1);
    line.mark(Phase::kOptimizer);
    if (step == 2) device.take_time(Stream::kCompute, 0.25);
  }
  finish(device);
  line.read_up_to(1);
  EXPECT_EQ(line.take().size(), 1U);
  line.end_stretch();
  EXPECT_FALSE(line.running());
  const std::vector<DeviceStep> rest = line.take();
  EXPECT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].number, 2);
  EXPECT_EQ(rest[0].seconds[Phase::kDataWait], 0) << "the device was busy";
  EXPECT_EQ(rest[0].seconds[Phase::kCompute], 4);
  EXPECT_EQ(rest[0].seconds[Phase::kOptimizer], 1);
  EXPECT_EQ(rest[1].seconds[Phase::kOther], 0.25);
  EXPECT_EQ(rest[1].seconds.sum(), 5.25);

  line.begin_step(4);  // a new stretch: what lay between is nobody's
  device.pass(3);
  line.mark(Phase::kDataWait);
  finish(device);
  line.end_stretch();
  const std::vector<DeviceStep> last = line.take();
  EXPECT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].seconds[Phase::kDataWait], 3);
  EXPECT_EQ(last[0].seconds.sum(), 3);
}

/// As many as there were made.
class CountingDevice final : public test::PassingDevice {
 public:
  using PassingDevice::PassingDevice;
  Event make_timed_event() override {
    ++timed;
    return PassingDevice::make_timed_event();
  }

  int timed = 0;
};

TEST(DeviceTimeLine, UsesItsEventsAgain) {
  LateDevice late(host_sums(), {});
  CountingDevice device(late);
  DeviceTimeLine line(device);
  for (std::int64_t step = 1; step <= 50; ++step) {
    line.begin_step(step);
    for (int mark = 0; mark < 4; ++mark) line.mark(Phase::kCompute);
    line.begin_sum();
    line.end_sum();
    finish(late);
    line.read_up_to(step - 2);
    if (step % 20 == 0) line.end_stretch();
  }
  EXPECT_LE(device.timed, 3 * 7 + 1) << "the marks of three steps and a border";
}

/// Three buckets. Each launch takes 1 s and each copy 0.5 s of its stream, a sum as given. The rank that is slow comes
/// to its last gradient later than the others.
class DeviceSteps : public testing::Test {
 protected:
  static constexpr double kWork = 1, kCopy = 0.5, kBatch = 2, kBuckets = 3;
  static constexpr int kSteps = 4;

  struct Found {
    std::vector<DeviceStep> steps;
    std::vector<double> waits;
  };

  static Found train(double sum_s, double slow_s, bool late, std::optional<double> clip_norm = {}) {
    SmallModel model({.name = "device",
                      .type = at::kFloat,
                      .device = LateOptions{.late_compute = late,
                                            .late_exchange = late,
                                            .seconds = {.work = kWork, .copy = kCopy, .sum = sum_s}}},
                     {}, clip_norm);
    DeviceTimeLine& line = *model.exchanger().time_line();
    Found found;
    const auto take = [&] {
      for (const DeviceStep& step : line.take()) found.steps.push_back(step);
    };
    for (std::int64_t step = 1; step <= kSteps; ++step) {
      line.begin_step(step);
      model.device()->take_time(Stream::kCompute, kBatch);  // the copy of its batch
      model.before_backward = [&] {
        if (world().ranks.rank() == 0) model.device()->take_time(Stream::kCompute, slow_s);
      };
      StepVotes votes;
      votes.loss_sum.add(at::zeros({}, at::kDouble));
      model.step(1, votes);
      take();
      EXPECT_EQ(static_cast<std::int64_t>(found.steps.size()), std::max<std::int64_t>(0, step - 2))
          << "a step is read when the one after it is known";
    }
    model.exchanger().settle();
    take();
    found.waits = model.exchanger().take_waits();
    EXPECT_TRUE(model.exchanger().take_waits().empty());
    return found;
  }
};

// Sums of no time: a rank's exchange is its gathers and its votes (a copy and a launch), nothing waits and nothing
// hides.
TEST_F(DeviceSteps, WithoutAnythingToWaitFor) {
  for (const bool late : {false, true}) {
    const Found found = train(0, 0, late);
    EXPECT_EQ(found.steps.size(), std::size_t{kSteps});
    for (const DeviceStep& step : found.steps) {
      EXPECT_NEAR(step.seconds[Phase::kDataWait], kBatch, kExact);
      EXPECT_NEAR(step.seconds[Phase::kCompute], 0, kExact);
      EXPECT_NEAR(step.seconds[Phase::kExchange], kBuckets * kWork + kCopy + kWork, kExact);
      EXPECT_NEAR(step.seconds[Phase::kOptimizer], kBuckets * kWork, kExact);
      EXPECT_NEAR(step.seconds[Phase::kOther], 0, kExact);
      EXPECT_NEAR(step.exchange_hidden_s, 0, kExact);
    }
    EXPECT_EQ(found.waits, std::vector<double>(kSteps * 3, 0.0));
  }
}

// Bucket b is gathered at 3 + b; sums of 10 s run from 3 to 13, 23 and 33. Behind the gathers the votes end at 6.5,
// then the stream waits for the first sum to 13, applies its bucket to 14, waits to 23, ...: 6.5, 9 and 9 s, and 3 x 10
// s of sums less these are hidden. The exchange stream ends 2 s of votes later (their sum takes 10, too), and the next
// step's first sum waits for that: from its second bucket on all is as before.
TEST_F(DeviceSteps, WaitForTheirSumsWhereNothingHidesThem) {
  for (const bool late : {false, true}) {
    const Found found = train(10, 0, late);
    const DeviceStep& first = found.steps.at(0);
    EXPECT_NEAR(first.seconds[Phase::kExchange], kBuckets * kWork + kCopy + kWork + 6.5 + 9 + 9, kExact);
    EXPECT_NEAR(first.exchange_hidden_s, 30 - 24.5, kExact);
    EXPECT_NEAR(first.seconds[Phase::kOptimizer], kBuckets * kWork, kExact);
    EXPECT_THAT(std::vector<double>(found.waits.begin(), found.waits.begin() + 3),
                testing::Pointwise(testing::DoubleNear(kExact), {6.5, 9.0, 9.0}));
    double waited = 0;
    for (const double wait : found.waits) waited += wait;
    double exchange = 0;
    for (const DeviceStep& step : found.steps) exchange += step.seconds[Phase::kExchange];
    EXPECT_NEAR(exchange - waited, kSteps * (kBuckets * kWork + kCopy + kWork), kExact);
  }
}

// The minimum over ranks of each wait is what the exchange takes; the others wait for the slow rank as long as it was.
TEST_F(DeviceSteps, ShowWhoWaitedForWhom) {
  if (world().ranks.world_size() == 1) GTEST_SKIP() << "one rank waits for nobody";
  for (const bool late : {false, true}) {
    const Found found = train(0, 7, late);
    std::vector<double> least = found.waits;
    EXPECT_EQ(least.size(), std::size_t{kSteps * 3});
    world().ranks.allreduce(least, Reduce::kMin);
    double straggler = 0;
    for (std::size_t i = 0; i < least.size(); ++i) {
      EXPECT_NEAR(least[i], 0, kExact);
      straggler += found.waits[i] - least[i];
    }
    // 3.5 s of gathers and votes hide half of it in the first step; then the others are ahead by as much.
    EXPECT_NEAR(straggler, world().ranks.rank() == 0 ? 0 : 3.5 + 7 * (kSteps - 1), kExact);
    for (const DeviceStep& step : found.steps)
      EXPECT_NEAR(step.seconds[Phase::kCompute], world().ranks.rank() == 0 ? 7 : 0, kExact);
  }
}

TEST_F(DeviceSteps, WaitOnceWhereTheWholeGradientIsClipped) {
  const Found found = train(10, 0, true, 0.5);
  EXPECT_EQ(found.waits.size(), std::size_t{kSteps});
  EXPECT_NEAR(found.waits[0], 33 - 6.5, kExact);
  EXPECT_NEAR(found.steps[0].seconds[Phase::kOptimizer], (1 + kBuckets) * kWork, kExact);
}

}  // namespace
}  // namespace regatta
