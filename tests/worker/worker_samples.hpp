#pragma once
// Small plans and datasets that tests of the worker share.

#include <cstdint>
#include <memory>
#include <vector>

#include "jobs/plan.hpp"
#include "worker/node_dataset.hpp"
#include "worker/sample_source.hpp"

namespace regatta::test {

/// A dataset in memory whose every byte says where it is: byte j of sample i is (7 i + j) mod 256, its label i mod 10.
struct SmallDataset {
  explicit SmallDataset(std::int64_t count, std::int64_t sample_bytes = kSampleBytes);
  DecodedSplit split() const;
  std::unique_ptr<SampleSource> source() const;
  static std::uint8_t pixel(std::int64_t sample, std::int64_t j) { return static_cast<std::uint8_t>(7 * sample + j); }

  static constexpr std::int64_t kSampleBytes = 6;  // (1, 2, 3)
  std::int64_t sample_bytes;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
};

/// A plan over `count` such samples (and as many to test on), one share a rank.
Plan small_plan(std::int64_t count, std::int64_t batch, std::vector<std::int64_t> shares,
                Precision precision = Precision::kFp32);

/// The same with other images (C, H, W), or text (length); mean and deviation differ by channel.
Plan plan_with_shape(Plan plan, std::vector<std::int64_t> shape);

}  // namespace regatta::test
