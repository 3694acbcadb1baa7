#pragma once
// Which samples a rank's batches hold: pure functions of the plan and the shares in force.

#include <cstdint>
#include <span>
#include <vector>

#include "jobs/plan.hpp"
#include "jobs/shares.hpp"

namespace regatta {

/// What a batch holds.
struct BatchContent {
  int epoch = 0;                      ///< augmentation depends on it
  std::vector<std::int64_t> samples;  ///< one part of the batch after the other
  std::vector<std::int64_t> parts;    ///< their sizes
  std::int64_t global_samples = 0;
};

/// The rank's part of global batch `batch` of `epoch`.
BatchContent content_of(const Plan& plan, int epoch, std::int64_t batch, std::span<const std::int64_t> shares,
                        int rank);
/// The most samples that the rank gets in any batch.
std::int64_t largest_content(const Plan& plan, std::span<const std::int64_t> shares, int rank);

/// A rank's contiguous part of the test set, by the shares in force, in batches of min(train.batch, 1000) / ranks,
/// or of train.micro_batch where that is less.
/// `plan` outlives it.
class TestPart {
 public:
  TestPart(const Plan& plan, int rank);

  void set_shares(std::span<const std::int64_t> weights);
  std::int64_t batches() const;
  std::int64_t largest() const;  ///< batch, in samples
  BatchContent content(std::int64_t batch) const;

 private:
  const Plan& plan_;
  int rank_;
  PositionRange part_;
  std::int64_t batch_size_;
};

}  // namespace regatta
