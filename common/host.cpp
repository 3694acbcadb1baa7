#include "common/host.hpp"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/error.hpp"

namespace regatta {

std::string host_name() {
  std::array<char, 256> name{};  // POSIX HOST_NAME_MAX is 255
  if (::gethostname(name.data(), name.size() - 1) != 0) throw IoError("gethostname: " + errno_text(errno));
  return name.data();
}

int usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const int found = ::sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 0;
  return found > 0 ? found : 1;  // the call fails on hosts with more cores than cpu_set_t has bits
}

/// From the kernel: hwloc sums the NUMA nodes' files, which on machines with hot-plugged memory (some virtual ones)
/// count only what was there at boot.
std::int64_t host_memory_bytes() {
  return static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
}

}  // namespace regatta
