#pragma once
// CPU and GPU ranks in one job: who sums with whom.

#include "jobs/placement.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// A sum over all ranks is one over the GPUs, then one over the carriers (rank 0, for all GPUs, and the CPU ranks), and
/// its result goes back to the GPUs. Contexts belong to the one that was split.
struct MixedRanks {
  RankContext* gpus = nullptr;      ///< null on a CPU rank
  RankContext* carriers = nullptr;  ///< null on a GPU rank other than 0
};

/// Collective over all ranks of a job with cpu_ranks.
MixedRanks split_by_device(RankContext& ranks, const Placement& placement);

}  // namespace regatta
