#pragma once
// Asks for GPUs in a process of its own: CUDA libraries stay out of the coordinator, and so does what goes wrong in
// them.

#include <filesystem>

#include "cluster/gpus.hpp"

namespace regatta {

/// `worker --gpus`, run to its end within a minute, in this process's environment as a launch would see it. What goes
/// wrong is said in `trouble`. Main thread only.
GpuReport ask_for_gpus(const std::filesystem::path& worker);

}  // namespace regatta
