#pragma once
// The shares in force, and when others come: train.shares, or the plan's share_changes. Rank 0 decides and has written
// it down before anybody knows.

#include <cstdint>
#include <vector>

#include "jobs/measured_shares.hpp"
#include "jobs/plan.hpp"
#include "worker/journal.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// One a rank, on the trainer thread; everything but `decide` is local and the same on all ranks.
class ShareControl {
 public:
  /// `journal` is rank 0's and null elsewhere. All outlive this.
  ShareControl(const Plan& plan, RankContext& ranks, Journal* journal);

  /// By rank; they hold for the next step.
  const std::vector<std::int64_t>& weights() const { return weights_; }

  /// What this rank computed in a step: forward and backward, by the wall clock.
  void after_step(std::int64_t step, const ComputeMeasure& own);

  /// Whether `decide` comes before step `next`: at the start of a run whose shares may change, after the probe, between
  /// epochs when enough was measured, and where the plan says so.
  bool due(std::int64_t next, bool new_epoch) const;

  /// Collective. Afterwards `weights` holds from step `next` on, which lies in `epoch`, and rank 0's journal has it.
  /// True when they differ from before. Throws IoError on rank 0 when the journal cannot be written.
  bool decide(int epoch, std::int64_t next);

 private:
  bool measures() const;
  void decide_by_speed();

  const Plan& plan_;
  RankContext& ranks_;
  Journal* journal_;
  std::vector<std::int64_t> weights_;
  std::size_t changes_done_ = 0;  // of the plan's
  ComputeMeasure own_;            // since the last decision
  std::int64_t measured_steps_ = 0;
  std::vector<double> seconds_per_sample_;  // rank 0: what it knows, by rank
};

}  // namespace regatta
