#pragma once
// The exchange of gradients that live on a device: NcclExchanger, but for what NCCL and CUDA do, which is device.hpp's.

#include <memory>

#include "jobs/spec.hpp"
#include "worker/device.hpp"
#include "worker/exchanger.hpp"

namespace regatta {

class LossScale;
class Optimizer;

/// Sums by bucket on the device's exchange stream while backward computes, then the optimizer on every rank; its
/// parameters are the same tensors and live on `device`, which outlives it. `wire` bf16: gradients travel as bfloat16,
/// the mean is of the parameters' type again. A step waits for nothing on the host but, at its end, the votes of the
/// one before: outcomes are one step late. What goes wrong is a CommError that names rank, host, step and bucket; a
/// wait that outlasts the deadline has code kDeadline. The device is aborted then, and so of no more use.
/// With `loss_scale`, whose `overflow` the optimizer skips by, the sums of all buckets are checked before the first is
/// applied; too many skipped steps in a row fail the step after them.
/// Collective: agrees on the bucket plan, throws CommError naming the rank that has another.
std::unique_ptr<Exchanger> make_device_exchanger(ExchangerParts parts, std::unique_ptr<Optimizer> optimizer,
                                                 Device& device, Wire wire = Wire::kSame,
                                                 std::shared_ptr<LossScale> loss_scale = nullptr);

}  // namespace regatta
