// hwloc loads only what this process's control group allows; its affinity mask (taskset, a batch system, mpirun) is
// applied on top, so that nothing is planned on a core that the kernel would refuse.
#include "cluster/inventory.hpp"

#include <hwloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "common/error.hpp"
#include "common/host.hpp"

namespace regatta {

namespace {

struct TopologyDeleter {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, TopologyDeleter>;

struct BitmapDeleter {
  void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, BitmapDeleter>;

Topology load_topology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) throw IoError("hwloc cannot start: " + errno_text(errno));
  Topology topology(raw);
  if (hwloc_topology_load(raw) != 0)
    throw IoError("hwloc cannot read this machine's topology: " + errno_text(errno) + "; is /sys mounted?");
  return topology;
}

/// Hardware threads that this process may run on.
Bitmap usable_threads(hwloc_topology_t topology) {
  Bitmap usable(hwloc_bitmap_alloc());
  // The calling thread's, because that is what a launched rank inherits. Where it cannot be read, there is none.
  if (hwloc_get_cpubind(topology, usable.get(), HWLOC_CPUBIND_THREAD) != 0)
    hwloc_bitmap_copy(usable.get(), hwloc_topology_get_allowed_cpuset(topology));
  hwloc_bitmap_and(usable.get(), usable.get(), hwloc_topology_get_allowed_cpuset(topology));
  return usable;
}

std::vector<int> first_threads(hwloc_topology_t topology, hwloc_const_bitmap_t usable) {
  // Without /sys hwloc knows hardware threads but no cores: each thread then counts as a core.
  const bool has_cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0;
  const hwloc_obj_type_t type = has_cores ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  const Bitmap common(hwloc_bitmap_alloc());
  std::vector<int> cores;
  for (hwloc_obj_t core = nullptr; (core = hwloc_get_next_obj_by_type(topology, type, core)) != nullptr;) {
    hwloc_bitmap_and(common.get(), core->cpuset, usable);
    const int first = hwloc_bitmap_first(common.get());
    if (first >= 0) cores.push_back(first);
  }
  return cores;
}

/// Of the control group, whatever this process is bound to.
int count_cores(hwloc_topology_t topology) {
  return static_cast<int>(first_threads(topology, hwloc_topology_get_allowed_cpuset(topology)).size());
}

int count_domains(hwloc_topology_t topology, hwloc_const_bitmap_t usable) {
  int domains = 0;
  for (hwloc_obj_t node = nullptr; (node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != nullptr;)
    if (hwloc_bitmap_intersects(node->cpuset, usable) != 0) ++domains;
  return std::max(domains, 1);
}

std::string cpu_model(hwloc_topology_t topology) {
  const hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
  for (const hwloc_obj_t object : {package, hwloc_get_root_obj(topology)}) {
    const char* model = object == nullptr ? nullptr : hwloc_obj_get_info_by_name(object, "CPUModel");
    if (model != nullptr) return model;
  }
  return "unknown";
}

}  // namespace

Inventory this_machine() {
  const Topology topology = load_topology();
  const Bitmap usable = usable_threads(topology.get());
  Inventory inventory{.host = host_name(),
                      .cpu_model = cpu_model(topology.get()),
                      .cores = first_threads(topology.get(), usable.get()),
                      .host_cores = count_cores(topology.get()),
                      .memory_bytes = host_memory_bytes(),
                      .numa_domains = count_domains(topology.get(), usable.get())};
  if (inventory.cores.empty())
    throw IoError("hwloc finds no core that this process may run on; check its affinity (taskset -p " +
                  std::to_string(::getpid()) + ")");
  return inventory;
}

}  // namespace regatta
