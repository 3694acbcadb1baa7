// Every wait of worker/device_batches.cpp is needed: without any one of them a batch is wrong, at some lateness, where
// with all of them it is right at every one. As tests/mpi/device_waits_test.cpp for the exchanger.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "common/error.hpp"
#include "tests/support/process.hpp"
#include "tests/worker/late_batches.hpp"
#include "tests/worker/worker_samples.hpp"
#include "worker/device_batches.hpp"

namespace regatta {
namespace {

using test::LateDevice;
using test::LateHost;
using test::LateOptions;
using test::seen_on_host;
using test::SeenBatch;
using test::step_on;

constexpr int kNoWait = -1;
constexpr std::int64_t kSamples = 64, kBatchSize = 8, kInEpoch = 8, kInSecond = 2;

/// Leaves out one wait: of a stream for an event that was recorded, or of the host for the copies of a batch, however
/// often it looks.
class WithoutABatchWait final : public test::PassingDevice {
 public:
  WithoutABatchWait(Device& device, int left_out) : PassingDevice(device), left_out_(left_out) {}

  void record(Event event, Stream stream) override {
    recorded_.insert(event.number);
    if (stream == Stream::kCopy) host_waits_[event.number] = {batches_++, {}};
    PassingDevice::record(event, stream);
  }
  void wait(Stream stream, Event event) override {
    const bool is_wait = recorded_.contains(event.number);
    const auto name = stream == Stream::kCopy ? fmt::format("copy {} for a used slot", batches_)
                                              : fmt::format("compute for copy {}", batches_ - 1);
    if (!is_wait || count(name)) PassingDevice::wait(stream, event);
  }
  bool is_complete(Event event) override {
    HostWait& wait = host_waits_.at(event.number);
    if (!wait.happens) wait.happens = count(fmt::format("host for copy {}", wait.batch));
    return !*wait.happens || PassingDevice::is_complete(event);
  }

  void stop_counting() { counts_ = false; }
  const std::vector<std::string>& waits() const { return waits_; }
  std::int64_t batches() const { return batches_; }  ///< that were copied

 private:
  struct HostWait {
    std::int64_t batch = 0;
    std::optional<bool> happens;  // nothing until the host asks; false: left out
  };

  /// False for the one that is left out.
  bool count(std::string name) {
    if (!counts_) return true;
    waits_.push_back(std::move(name));
    return static_cast<int>(waits_.size()) - 1 != left_out_;
  }

  int left_out_;
  bool counts_ = true;
  std::int64_t batches_ = 0;
  std::vector<std::string> waits_;
  std::set<int> recorded_;
  std::map<int, HostWait> host_waits_;  // by event
};

class BatchWaits : public testing::Test {
 protected:
  struct Result {
    std::vector<SeenBatch> batches;
    bool has_failed = false;  // or has seen a hazard
    std::vector<std::string> waits;
  };

  /// An epoch, and the first batches of the next one. Nobody waits for the device before the end, and everybody for the
  /// loader's thread: it has filled again whatever it may.
  Result run(int left_out, const LateOptions& late) {
    LateDevice device(host_.sums, late);
    WithoutABatchWait wrapped(device, left_out);
    Result result;
    std::atomic<std::int64_t> asked{0};
    try {
      const auto batches = make_device_batches(plan_, std::make_unique<test::CountedSamples>(data_.source(), asked), 0,
                                               wrapped, host_.watchdog);
      std::int64_t copied_before = 0, asked_before = 0;
      const auto let_gather = [&] {
        const std::int64_t made = std::min(wrapped.batches() - copied_before + 2, kInEpoch);
        EXPECT_TRUE(test::wait_until([&] { return asked >= asked_before + made * kBatchSize; }));
      };
      for (const int epoch : {1, 2}) {
        copied_before = wrapped.batches();
        asked_before = asked;
        batches->start_epoch(epoch);
        for (int b = 0; b < (epoch == 1 ? kInEpoch : kInSecond); ++b) {
          let_gather();
          result.batches.push_back(step_on(device, batches->next()));
        }
        let_gather();
      }
      wrapped.stop_counting();
    } catch (const CommError&) {
      result.has_failed = true;
    }
    device.finish_compute();
    result.has_failed = result.has_failed || !device.hazards().empty();
    result.waits = wrapped.waits();
    return result;
  }

  bool is_wrong(const Result& found) const {
    if (found.has_failed || found.batches.size() != expected_.size()) return true;
    for (std::size_t b = 0; b < expected_.size(); ++b)
      if (!found.batches[b].equals(expected_[b])) return true;
    return false;
  }

  void SetUp() override {
    const auto loader = make_loader(plan_, data_.source(), 0);
    for (const int epoch : {1, 2}) {
      loader->start_epoch(epoch);
      for (int b = 0; b < (epoch == 1 ? kInEpoch : kInSecond); ++b) expected_.push_back(seen_on_host(loader->next()));
    }
  }

  static constexpr std::array<LateOptions, 4> kLateness{
      LateOptions{}, {.late_compute = true}, {.late_copy = true}, {.late_compute = true, .late_copy = true}};

  const test::SmallDataset data_{kSamples};
  const Plan plan_ = test::small_plan(kSamples, kBatchSize, {1});
  LateHost host_;
  std::vector<SeenBatch> expected_;
};

TEST_F(BatchWaits, AreEachNeeded) {
  // Late copies are never complete at the first look, so that none is ahead and the waits are the same every time.
  const Result all = run(kNoWait, kLateness[3]);
  EXPECT_FALSE(is_wrong(all));
  for (const LateOptions& late : kLateness)
    EXPECT_FALSE(is_wrong(run(kNoWait, late))) << late.late_compute << late.late_copy;

  // Of each batch, but the first two slots were never used; and the host never comes to wait for the last one.
  constexpr std::size_t kBatches = kInEpoch + kInSecond;
  EXPECT_EQ(all.waits.size(), kBatches + (kBatches - 2) + (kBatches - 1));
  // The loader's thread comes to the buffers of the last four in the next epoch, before which the host waits for the
  // last one, which is behind them.
  std::set<std::string> unneeded;
  for (const int before_last : {1, 2, 3}) unneeded.insert(fmt::format("host for copy {}", kInEpoch - 1 - before_last));
  for (int wait = 0; wait + 1 < static_cast<int>(all.waits.size()); ++wait) {
    const std::string& name = all.waits[static_cast<std::size_t>(wait)];
    if (unneeded.contains(name)) continue;
    bool shows = false;
    // Where the loader's thread stands still between a batch's last sample and saying so, none is taken ahead.
    for (int attempt = 0; attempt < 5 && !shows; ++attempt)
      for (const LateOptions& late : kLateness) shows = shows || is_wrong(run(wait, late));
    EXPECT_TRUE(shows) << "wait " << wait << ": " << name;
  }
}

}  // namespace
}  // namespace regatta
