#pragma once
// This machine as hwloc sees it.

#include <cstdint>
#include <string>
#include <vector>

namespace regatta {

struct Inventory {
  std::string host, cpu_model;
  std::vector<int> cores;  ///< ids (first hardware thread) of the cores this process may run on, in order
  int host_cores = 0;  ///< all that this host offers: not those outside the control group, but also those not bound to
  std::int64_t memory_bytes = 0;
  int numa_domains = 1;
};

/// Throws IoError when hwloc cannot read the topology.
Inventory this_machine();

}  // namespace regatta
