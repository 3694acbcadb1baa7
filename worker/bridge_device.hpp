#pragma once
// The device of a GPU rank that trains beside CPU ranks: the GPU's own, but for sums, which go over all ranks.

#include <memory>

#include "worker/device.hpp"
#include "worker/mixed_ranks.hpp"

namespace regatta {

/// A sum is first one over the GPUs, by `gpu`, which connects those and no others. Rank 0 carries it to the CPU ranks
/// through pinned memory and over MPI, on a thread of the device's; then `gpu` brings the result to all GPUs. All of it
/// lies on the exchange stream: nobody waits. `gpu` and the contexts outlive it. bfloat16 travels over MPI as float32.
/// Throws CommError on rank 0 where MPI does not serve threads (MpiCallers::kDevices).
std::unique_ptr<Device> make_bridge_device(Device& gpu, const MixedRanks& ranks);

}  // namespace regatta
