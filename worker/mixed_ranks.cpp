#include "worker/mixed_ranks.hpp"

#include "common/error.hpp"

namespace regatta {

MixedRanks split_by_device(RankContext& ranks, const Placement& placement) {
  REGATTA_ENSURE(placement.cpu_ranks > 0 && is_gpu_rank(placement, 0), "GPU ranks first, then CPU ranks");
  const bool on_gpu = is_gpu_rank(placement, ranks.rank()), carries = !on_gpu || ranks.rank() == 0;
  RankContext& alike = ranks.split(on_gpu ? 0 : 1);
  RankContext& carriers = ranks.split(carries ? 0 : 1);
  return {.gpus = on_gpu ? &alike : nullptr, .carriers = carries ? &carriers : nullptr};
}

}  // namespace regatta
