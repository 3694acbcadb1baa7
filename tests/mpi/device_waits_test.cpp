// Every wait of the exchanger is needed: a run without any one of them goes wrong, at some lateness, where the run with
// all of them is right at every one. A wait is one call, so that of three buckets each has its own. In a mixed world
// the last rank computes on the host, where nothing is late, and leaves nothing out.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "tests/mpi/passing_device.hpp"
#include "tests/mpi/small_model.hpp"
#include "tests/support/process.hpp"
#include "worker/bridge_device.hpp"
#include "worker/device_exchanger.hpp"
#include "worker/host_device.hpp"
#include "worker/optimizer.hpp"

namespace regatta {
namespace {

using test::distance;
using test::host_sums;
using test::LateDevice;
using test::LateOptions;
using test::MadeExchanger;
using test::PassingDevice;
using test::SmallModel;
using test::world;

constexpr int kNone = -1, kTrained = 3;

/// Passes on everything but one wait: a stream's for an event, or the host's for what was copied to it or for the
/// compute stream. At other events the host only looks, to say which bucket it waits for: such looks are no waits.
class WithoutAWait final : public PassingDevice {
 public:
  WithoutAWait(Device& device, int left_out) : PassingDevice(device), left_out_(left_out) {}

  at::Tensor host_memory(std::int64_t count, at::ScalarType type) override {
    at::Tensor made = PassingDevice::host_memory(count, type);
    host_memory_.insert(made.storage().data());
    return made;
  }
  void copy(Stream stream, const at::Tensor& to, const at::Tensor& from) override {
    if (host_memory_.contains(to.storage().data())) copied_to_host_ = true;
    PassingDevice::copy(stream, to, from);
  }
  void record(Event event, Stream stream) override {
    host_waits_.erase(event.number);
    if (stream == Stream::kCompute || std::exchange(copied_to_host_, false)) host_waits_[event.number] = {};
    PassingDevice::record(event, stream);
  }
  void wait(Stream stream, Event event) override {
    if (count(stream == Stream::kCompute ? "compute" : "exchange", event)) PassingDevice::wait(stream, event);
  }
  bool is_complete(Event event) override {
    const auto wait = host_waits_.find(event.number);
    if (wait == host_waits_.end()) return PassingDevice::is_complete(event);
    if (!wait->second) wait->second = count("host", event);
    return !*wait->second || PassingDevice::is_complete(event);
  }

  /// By order: "compute for event 3".
  const std::vector<std::string>& waits() const { return waits_; }

 private:
  /// False for the one that is left out.
  bool count(const char* who, Event event) {
    waits_.push_back(fmt::format("{} for event {}", who, event.number));
    return static_cast<int>(waits_.size()) - 1 != left_out_;
  }

  int left_out_;
  std::vector<std::string> waits_;
  std::set<const void*> host_memory_;
  bool copied_to_host_ = false;                    // since the last record
  std::map<int, std::optional<bool>> host_waits_;  // by event: nothing until the host asks; false: left out
};

struct Kind {
  const char* name;
  Wire wire;
  std::optional<double> clip_norm;
  bool mixed = false;
  bool scaled = false;  // the loss
};
void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

class DeviceWaits : public testing::TestWithParam<Kind> {
 protected:
  struct Result {
    std::vector<at::Tensor> weights;
    std::vector<double> host_numbers;  // losses and sums, as the host read them
    bool has_hazards = false;
    std::vector<std::string> waits;
  };

  /// Three steps with their votes, so that what they use in turn is used again; a sum of numbers before and behind
  /// (between them it would wait for what is tested); and the weights.
  static Result train(int left_out, const LateOptions& late) {
    if (!GetParam().mixed) {
      LateDevice device(host_sums(), late);
      return train(left_out, device, &device);
    }
    static const test::MixedWorld mixed = test::make_mixed_world(1);
    if (!mixed.sums) return train(kNone, *make_host_device(*mixed.ranks.carriers, world().watchdog), nullptr);
    LateDevice device(*mixed.sums, late);
    return train(left_out, *make_bridge_device(device, mixed.ranks), &device);
  }

  /// `late`: the double, where there is one.
  static Result train(int left_out, Device& device, LateDevice* late) {
    WithoutAWait wrapped(device, left_out);
    Result result;
    {
      SmallModel model(at::kFloat, GetParam().clip_norm, [&](ExchangerParts parts) {
        const auto scale = GetParam().scaled ? std::make_shared<LossScale>(c10::Device(c10::kCPU)) : nullptr;
        auto optimizer = make_optimizer({.momentum = 0.9}, parts.parameters, scale ? scale->overflow() : at::Tensor());
        return MadeExchanger{
            {},
            {},
            make_device_exchanger(std::move(parts), std::move(optimizer), wrapped, GetParam().wire, scale),
            &wrapped,
            scale};
      });
      const auto sum_numbers = [&](double first) {
        std::array<double, 2> numbers{first, world().ranks.rank() + first};
        model.exchanger().allreduce_now(numbers);
        result.host_numbers.insert(result.host_numbers.end(), numbers.begin(), numbers.end());
      };
      sum_numbers(100);
      std::vector<std::optional<StepOutcome>> outcomes;
      for (int step = 1; step <= kTrained; ++step) {
        StepVotes votes;
        votes.loss_sum.add(at::full({}, 1.0 + 2 * step, at::kDouble));  // never a multiple of an earlier one
        outcomes.push_back(model.step(1, votes));
      }
      outcomes.push_back(model.exchanger().settle());
      for (const Parameter& parameter : model.exchanger().weights())
        result.weights.push_back(parameter.tensor.detach().clone());
      sum_numbers(200);
      for (const auto& outcome : outcomes)
        if (outcome) result.host_numbers.push_back(outcome->loss);
    }
    if (GetParam().mixed) end_sums(device);
    result.has_hazards = late != nullptr && !late->hazards().empty();
    result.waits = wrapped.waits();
    return result;
  }

  /// So that no rank gives up what others wait for, whatever wait was left out.
  static void end_sums(Device& device) {
    const Event end = device.make_event();
    device.record(end, Stream::kExchange);
    EXPECT_TRUE(test::wait_until([&] { return device.is_complete(end); }));
  }

  /// On any rank; a number that is not one is wrong, too.
  static bool differs(const Result& found, const Result& expected) {
    bool wrong = found.has_hazards || !(distance(found.weights, expected.weights) <= 1e-6);
    for (std::size_t i = 0; i < found.host_numbers.size(); ++i)
      if (!(std::abs(found.host_numbers[i] - expected.host_numbers[i]) <= 1e-9)) wrong = true;
    std::array<double, 1> anywhere{wrong ? 1.0 : 0.0};
    world().ranks.allreduce(anywhere, Reduce::kMax);
    return anywhere[0] > 0;
  }

  static constexpr std::array<LateOptions, 4> kLateness{
      LateOptions{}, {.late_exchange = true}, {.late_compute = true}, {.late_compute = true, .late_exchange = true}};
};

TEST_P(DeviceWaits, AreEachNeeded) {
  if (GetParam().mixed && world().ranks.world_size() == 1) GTEST_SKIP() << "one rank is of one kind";
  const Result expected = train(kNone, {});
  for (const LateOptions& late : kLateness)
    EXPECT_FALSE(differs(train(kNone, late), expected)) << late.late_compute << late.late_exchange;

  // In each step two of every bucket (clipping and a scaled loss need all sums at once: one for
  // them) and the votes' two; the numbers'
  // and the weights'.
  const std::size_t buckets = 3, sums = GetParam().clip_norm || GetParam().scaled ? 1 : buckets;
  EXPECT_EQ(expected.waits.size(), kTrained * (buckets + sums + 2) + 3);
  EXPECT_EQ(expected.host_numbers.size(), kTrained + 4);
  for (int wait = 0; wait < static_cast<int>(expected.waits.size()); ++wait) {
    const std::string& name = expected.waits[static_cast<std::size_t>(wait)];
    // A sum over one rank, in place, is its gradient whenever it is taken.
    if (world().ranks.world_size() == 1 && GetParam().wire == Wire::kSame && !name.starts_with("host")) continue;
    bool shows = false;
    for (const LateOptions& late : kLateness) shows = differs(train(wait, late), expected) || shows;
    EXPECT_TRUE(shows) << "wait " << wait << ": " << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, DeviceWaits,
                         testing::Values(Kind{"SameWire", Wire::kSame, {}}, Kind{"Clipped", Wire::kSame, 0.5},
                                         Kind{"Bf16Wire", Wire::kBf16, {}}, Kind{"Mixed", Wire::kSame, {}, true},
                                         Kind{"MixedClipped", Wire::kSame, 0.5, true},
                                         Kind{"MixedBf16Wire", Wire::kBf16, {}, true},
                                         Kind{"ScaledLoss", Wire::kSame, {}, false, true}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace regatta
