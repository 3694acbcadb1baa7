#pragma once
// What this machine can do, and why not: `regatta doctor`.

#include <optional>
#include <string>
#include <vector>

#include "cluster/gpus.hpp"
#include "cluster/inventory.hpp"
#include "cluster/nvml.hpp"

namespace regatta {

/// What was found. Where something is not there, its `trouble` says why.
struct Diagnosis {
  Inventory machine;
  GpuReport gpus;
  std::vector<PciGpu> on_bus;
  std::string nvml_driver, nvml_trouble;
  std::vector<NvmlDevice> boards;
  std::string rapl_source, rapl_trouble;
};

/// Looks at everything; asks `worker` for GPUs. Main thread only.
Diagnosis examine(const std::filesystem::path& worker);

Json to_json(const Diagnosis& diagnosis);
std::string to_page(const Diagnosis& diagnosis, bool colour);

}  // namespace regatta
