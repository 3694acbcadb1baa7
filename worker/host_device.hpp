#pragma once
// The device of a CPU rank that trains beside GPUs: host memory, so that the same exchanger runs on both.

#include <memory>

#include "worker/device.hpp"

namespace regatta {

class RankContext;
class Watchdog;

/// Computes on the calling thread (computes_here). Sums travel over MPI: begun when they are asked for, one after the
/// other, and moved on whenever somebody asks for an event, so that backward goes on in between. `carriers`
/// (mixed_ranks.hpp) and `watchdog` outlive it, and `carriers` serve nothing else. bfloat16 is added up in float32 and
/// rounded once. Trainer thread.
std::unique_ptr<Device> make_host_device(RankContext& carriers, Watchdog& watchdog);

}  // namespace regatta
