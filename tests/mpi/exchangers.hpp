#pragma once
// Every exchanger there is, for tests that show the same of all.

#include <ATen/core/Tensor.h>

#include <iosfwd>
#include <memory>
#include <optional>
#include <vector>

#include "jobs/spec.hpp"
#include "tests/mpi/late_device.hpp"
#include "worker/exchanger.hpp"
#include "worker/loss_scale.hpp"
#include "worker/mixed_ranks.hpp"

namespace regatta::test {

/// Which, and the numbers it is tested in.
struct ExchangeWay {
  const char* name;
  at::ScalarType type;
  bool mpi = false;
  NodeOptions node = {};
  bool bf16 = false;
  bool two_domains = false;
  std::optional<LateOptions> device = {};
  Wire wire = Wire::kSame;  ///< the device's, or between hosts
  int cpu_ranks = 0;        ///< with a device: the last ranks have host memory for one, all but the first at most
  std::optional<LossScaleRule> loss_scale = {};
  std::vector<int> hosts = {};  ///< by rank: as if it stood on the host of this number
  std::int64_t every = 1;
  OuterSpec outer = {};
  std::int64_t swap_bytes = 0;  ///< between them

  bool by_bucket() const { return mpi || device; }  ///< one collective a bucket, over the whole of it
};
void PrintTo(const ExchangeWay& way, std::ostream* out);

/// Who sums with whom where the last ranks are CPU ranks.
struct MixedWorld {
  MixedRanks ranks;
  std::unique_ptr<HostSums> sums;  ///< of the GPU ranks; null on the others
};
/// Collective over world()'s ranks, of which there are more than `cpu_ranks`. After sums that were given up it is of no
/// more use.
MixedWorld make_mixed_world(int cpu_ranks);

struct MadeExchanger {
  std::unique_ptr<LateDevice> device;  ///< null for the others, and on CPU ranks
  std::unique_ptr<Device> around;      ///< in a mixed world: the bridge, or the host's
  std::unique_ptr<Exchanger> exchanger;
  Device* runs_on = nullptr;                   ///< `device`, or what is around it
  std::shared_ptr<LossScale> loss_scale = {};  ///< null without
};
/// Collective.
MadeExchanger make_exchanger(const ExchangeWay& way, ExchangerParts parts, const OptimizerSpec& rule);
/// The same in a given mixed world.
MadeExchanger make_mixed_exchanger(const MixedWorld& mixed, const ExchangeWay& way, ExchangerParts parts,
                                   const OptimizerSpec& rule);

/// The outcome of this step, however late. Collective.
StepOutcome finish_and_settle(Exchanger& exchanger, const StepVotes& votes);

/// world()'s ranks, each on the host of its number; all on one where `hosts` is empty. Collective.
RankContext& ranks_on(const std::vector<int>& hosts);

/// Over world()'s ranks; made at the first call, on all of them.
HostSums& host_sums();

}  // namespace regatta::test
