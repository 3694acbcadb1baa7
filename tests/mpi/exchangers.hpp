#pragma once
// Every exchanger there is, for tests that show the same of all.

#include <ATen/core/Tensor.h>

#include <iosfwd>
#include <memory>
#include <optional>

#include "jobs/spec.hpp"
#include "tests/mpi/late_device.hpp"
#include "worker/exchanger.hpp"

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
  Wire wire = Wire::kSame;  ///< the device's

  bool by_bucket() const { return mpi || device; }  ///< one collective a bucket, over the whole of it
};
void PrintTo(const ExchangeWay& way, std::ostream* out);

struct MadeExchanger {
  std::unique_ptr<LateDevice> device;  ///< null for the others
  std::unique_ptr<Exchanger> exchanger;
};
/// Collective.
MadeExchanger make_exchanger(const ExchangeWay& way, ExchangerParts parts, const OptimizerSpec& rule);

/// The outcome of this step, however late. Collective.
StepOutcome finish_and_settle(Exchanger& exchanger, const StepVotes& votes);

/// Over world()'s ranks; made at the first call, on all of them.
HostSums& host_sums();

}  // namespace regatta::test
