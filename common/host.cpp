#include "common/host.hpp"

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

/// From the kernel: hwloc sums the NUMA nodes' files, which on machines with hot-plugged memory (some virtual ones)
/// count only what was there at boot.
std::int64_t host_memory_bytes() {
  return static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
}

}  // namespace regatta
