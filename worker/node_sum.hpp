#pragma once
// Sums of a few numbers over the ranks of a host, through node-shared memory: batch norm's statistics, metrics, norms.

#include <span>

#include "worker/shared_count.hpp"
#include "worker/watchdog.hpp"

namespace regatta {

/// Trainer thread only. Two ranks on cores of their own take 1 us for a sum, MPI_Allreduce 2 (AMD Zen 4).
class NodeSum {
 public:
  /// Collective over the ranks of this host.
  NodeSum(RankContext& ranks, Watchdog& watchdog, const WaitPolicy& policy);
  /// In place; added in the order of the ranks, so the same bits everywhere. Collective. Returns how long this rank
  /// waited for others.
  Duration sum(std::span<double> values, const char* what);

 private:
  struct Board;
  Duration sum_page(std::span<double> values);

  int local_rank_, local_size_;
  Watchdog& watchdog_;
  WaitPolicy policy_;
  Board* boards_;           // one a rank, node-shared
  std::uint32_t turn_ = 0;  // sums so far
};

}  // namespace regatta
