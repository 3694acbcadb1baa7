// The double itself: what it holds back, and what it finds.

#include "tests/mpi/late_device.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>

#include "common/error.hpp"
#include "tests/mpi/exchangers.hpp"
#include "tests/mpi/world.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

using test::host_sums;
using test::LateDevice;
using test::LateOptions;
using test::world;

void finish(Device& device, Stream stream) {
  const Event event = device.make_event();
  device.record(event, stream);
  EXPECT_TRUE(test::wait_until([&] { return device.is_complete(event); }));
}

bool all_nan(const at::Tensor& tensor) {
  return tensor.isnan().all().item<bool>();
}

TEST(LateDevice, DoesWhatIsLateWhenSomebodyWaits) {
  LateDevice device(host_sums(), {.late_compute = true});
  const at::Tensor value = at::zeros({1}), copied = device.memory(1, at::kFloat);
  device.launch(Stream::kCompute, [value] { value.fill_(1); });
  device.copy(Stream::kExchange, copied, value);  // nobody told it to wait
  finish(device, Stream::kExchange);
  EXPECT_EQ(copied.item<float>(), 0);

  const Event written = device.make_event();
  device.record(written, Stream::kCompute);
  device.launch(Stream::kCompute, [value] { value.fill_(2); });
  device.wait(Stream::kExchange, written);
  device.copy(Stream::kExchange, copied, value);
  finish(device, Stream::kExchange);
  EXPECT_EQ(copied.item<float>(), 1) << "as far as the wait needs, and no further";
  finish(device, Stream::kCompute);
  EXPECT_EQ(value.item<float>(), 2);
}

TEST(LateDevice, CopiesLateOnAStreamOfTheirOwn) {
  LateDevice device(host_sums(), {.late_copy = true});
  const at::Tensor from = at::arange(4, at::kByte), to = device.memory(4, at::kByte), seen = to.clone();
  EXPECT_FALSE(to.lt(4).any().item<bool>()) << "bytes that nobody expects";
  device.copy(Stream::kCopy, to, from);
  const Event copied = device.make_event();
  device.record(copied, Stream::kCopy);
  device.launch(Stream::kCompute, [seen, to] { seen.copy_(to); });
  finish(device, Stream::kCompute);
  EXPECT_FALSE(seen.lt(4).any().item<bool>());
  device.wait(Stream::kCompute, copied);
  device.launch(Stream::kCompute, [seen, to] { seen.copy_(to); });
  finish(device, Stream::kCompute);
  EXPECT_TRUE(seen.equal(from));
  EXPECT_TRUE(device.hazards().empty());
}

TEST(LateDevice, HoldsNothingUntilItIsComplete) {
  LateDevice device(host_sums(), {.late_exchange = true});
  const at::Tensor sum = at::full({3}, world().ranks.rank() + 1.0, at::kDouble);
  device.all_reduce_sum(sum);
  const at::Tensor seen = at::zeros({3}, at::kDouble);
  const Event looked = device.make_event();
  EXPECT_TRUE(device.is_complete(looked)) << "it has not been recorded";
  device.launch(Stream::kCompute, [seen, sum] { seen.copy_(sum); });
  finish(device, Stream::kCompute);
  EXPECT_TRUE(all_nan(seen));
  finish(device, Stream::kExchange);
  const int ranks = world().ranks.world_size();
  EXPECT_TRUE(sum.eq(ranks * (ranks + 1) / 2.0).all().item<bool>());
  EXPECT_TRUE(device.hazards().empty());
}

TEST(LateDevice, FindsWhatIsWrittenOverInFlight) {
  using testing::ElementsAre;
  LateDevice device(host_sums(), {.late_exchange = true});
  const at::Tensor source = at::ones({2}), target = device.memory(2, at::kFloat);
  device.copy(Stream::kExchange, target, source);
  device.launch(Stream::kCompute, [source] { source.zero_(); });
  finish(device, Stream::kCompute);
  finish(device, Stream::kExchange);
  EXPECT_THAT(device.hazards(), ElementsAre("the source of a copy was written over while in flight"));
  EXPECT_TRUE(target.eq(1).all().item<bool>());

  const at::Tensor sum = at::ones({2});
  device.all_reduce_sum(sum);
  device.launch(Stream::kCompute, [sum] { sum.zero_(); });
  finish(device, Stream::kCompute);
  finish(device, Stream::kExchange);
  EXPECT_THAT(device.hazards(), ElementsAre(testing::_, "a sum was written over while in flight"));
}

TEST(LateDevice, DoesWorkForTheHostInTheStreamsOrder) {
  LateDevice device(host_sums(), {.late_exchange = true});
  const at::Tensor written = device.host_memory(1, at::kFloat), early = at::zeros({1}), behind = at::zeros({1});
  const at::Tensor one = at::ones({1});
  device.copy(Stream::kExchange, written, one);
  device.run_on_host(Stream::kExchange, [written] { written.add_(1); });
  device.copy(Stream::kExchange, behind, written);
  device.launch(Stream::kCompute, [early, written] { early.copy_(written); });  // nobody told it to wait
  finish(device, Stream::kCompute);
  EXPECT_TRUE(all_nan(early));
  finish(device, Stream::kExchange);
  EXPECT_EQ(behind.item<float>(), 2);
}

TEST(LateDevice, SumsBfloat16InFloatAndRoundsOnce) {
  LateDevice device(host_sums(), {});
  const at::Tensor sum = at::full({1}, world().ranks.rank() == 0 ? 256.0 : 0.75, at::kBFloat16);
  device.all_reduce_sum(sum);
  finish(device, Stream::kExchange);
  const float total = 256 + 0.75F * static_cast<float>(world().ranks.world_size() - 1);
  EXPECT_EQ(sum.item<float>(), at::full({1}, total).to(at::kBFloat16).item<float>());
}

// A sum of 3 s that waits for work of 2 s, on the last rank of 5 s, and begins 1 s after the host began.
TEST(LateDevice, KeepsTimesThatDoNotDependOnThreads) {
  for (const bool late : {false, true}) {
    LateDevice device(host_sums(),
                      {.late_compute = late, .late_exchange = late, .seconds = {.work = 2, .copy = 0.5, .sum = 3}});
    const Event begin = device.make_timed_event(), worked = device.make_timed_event(), end = device.make_timed_event();
    device.record(begin, Stream::kCompute);
    const at::Tensor value = at::ones({1});
    device.pass(1);
    const bool last = world().ranks.rank() == world().ranks.world_size() - 1;
    if (last) device.take_time(Stream::kCompute, 3);
    device.launch(Stream::kCompute, [] {});
    device.record(worked, Stream::kCompute);
    device.wait(Stream::kExchange, worked);
    device.all_reduce_sum(value);
    device.record(end, Stream::kExchange);
    EXPECT_TRUE(std::isnan(device.seconds_between(begin, end)) || !late) << "nobody has waited for it";
    finish(device, Stream::kExchange);
    EXPECT_EQ(device.seconds_between(begin, worked), 1 + (last ? 5 : 2));
    EXPECT_EQ(device.seconds_between(begin, end), 1 + 5 + 3);
    device.launch(Stream::kCompute, [] {});  // the host has waited until then
    finish(device, Stream::kCompute);
    device.record(worked, Stream::kCompute);
    finish(device, Stream::kCompute);
    EXPECT_EQ(device.seconds_between(end, worked), 2);
  }
}

TEST(LateDevice, FailsAndHangsWhereItIsTold) {
  LateDevice device(host_sums(), {.fails_at = 1});
  const at::Tensor value = at::ones({1});
  device.all_reduce_sum(value);
  finish(device, Stream::kExchange);
  device.all_reduce_sum(value);
  const auto fails = [&] {
    try {
      finish(device, Stream::kExchange);
    } catch (const CommError& error) {
      return std::string(error.what()) == "late device: injected at sum 1";
    }
    return false;
  };
  EXPECT_TRUE(fails());

  LateDevice hanging(host_sums(), {.hangs_at = 0});
  hanging.all_reduce_sum(value);
  const Event never = hanging.make_event();
  hanging.record(never, Stream::kExchange);
  for (int look = 0; look < 100; ++look) EXPECT_FALSE(hanging.is_complete(never));
  hanging.abort();
  EXPECT_THROW(hanging.is_complete(never), CommError);
}

}  // namespace
}  // namespace regatta
