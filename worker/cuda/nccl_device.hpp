#pragma once
// The device that an exchanger runs on (worker/device.hpp), as one GPU with CUDA's streams and NCCL's sums.

#include <memory>

#include "worker/device.hpp"
#include "worker/polled_wait.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// `gpu` by CUDA's number in this process; its current stream becomes the compute stream: call it where the model will
/// run, after setting that stream. `ranks` are those that have a GPU each: all, or a group of a job with CPU ranks
/// (mixed_ranks.hpp), whose rank 0 is meant here. Collective over them: rank 0 makes NCCL's id, all meet at a barrier
/// and connect. Throws CommError. Destroy it after a barrier that follows the last sum: it takes the communicator down
/// without asking.
std::unique_ptr<Device> make_nccl_device(int gpu, RankContext& ranks, PollUntil poll_until);

}  // namespace regatta
