#include "worker/out_of_memory.hpp"

#include <gmock/gmock.h>

namespace regatta {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

TEST(FittingSamples, FollowTheLineThroughTwoTries) {
  // 2 GiB that stay and 0.5 GiB a sample: 10 GiB are 16 samples.
  EXPECT_EQ(fitting_samples({4, 4 * kGiB}, {8, 6 * kGiB}, 10 * kGiB, 32), 16);
  EXPECT_EQ(fitting_samples({4, 4 * kGiB}, {8, 6 * kGiB}, 10 * kGiB + kGiB / 4, 32), 16) << "rounded down";
}

TEST(FittingSamples, StayBetweenWhatFittedAndWhatDidNot) {
  EXPECT_EQ(fitting_samples({4, 4 * kGiB}, {8, 6 * kGiB}, 100 * kGiB, 16), 15);
  EXPECT_EQ(fitting_samples({4, 4 * kGiB}, {8, 6 * kGiB}, 5 * kGiB, 16), 8) << "the limit was another's for a moment";
  EXPECT_EQ(fitting_samples({4, 6 * kGiB}, {8, 6 * kGiB}, 10 * kGiB, 16), 8) << "a cache that hides the samples";
  EXPECT_EQ(fitting_samples({1, kGiB}, {1, kGiB}, 10 * kGiB, 2), 1);
}

TEST(OutOfMemoryText, SaysWhatWasAskedWhatIsFreeAndWhatWouldFit) {
  OutOfMemory trouble{
      .where = "rank 1 on node-7",
      .samples = 512,
      .text =
          "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 139.81 GiB of which 1.13 "
          "GiB is free. Including non-PyTorch memory, this process has 138.60 GiB memory in use.\nmore",
      .device = DeviceMemory{.peak_bytes = 137 * kGiB, .free_bytes = kGiB, .total_bytes = 140 * kGiB},
      .fits = 256,
      .estimate = 300};
  EXPECT_THAT(
      to_text(trouble),
      AllOf(HasSubstr("out of memory: rank 1 on node-7 computes 512 samples at once: CUDA out of memory. Tried to "
                      "allocate 2.50 GiB. GPU 0 has a total capacity of 139.81 GiB of which 1.13 GiB is free. (1.00 of "
                      "140.00 GiB free, at most 137.00 GiB in tensors)\n"),
            HasSubstr("256 samples fit, and about 300 samples would: write train.micro_batch: 300, or"),
            Not(HasSubstr("Including"))));
  trouble.device.reset();
  trouble.fits = trouble.estimate = 1;
  trouble.text = "can't allocate memory\nbacktrace";
  EXPECT_THAT(to_text(trouble), AllOf(HasSubstr("can't allocate memory\n  1 sample fits: write train.micro_batch: 1,"),
                                      Not(HasSubstr("backtrace"))));
  trouble.fits = 0;
  EXPECT_THAT(to_text(trouble), AllOf(HasSubstr("Not even one sample fits"), Not(HasSubstr("micro_batch"))));
}

}  // namespace
}  // namespace regatta
