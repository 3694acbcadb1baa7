#pragma once
// This host, as records and messages carry it.

#include <cstdint>
#include <string>

namespace regatta {

/// Throws IoError when the kernel does not say.
std::string host_name();

/// Cores that the calling thread may run on; at least 1.
int usable_cores();

/// Bytes of physical memory.
std::int64_t host_memory_bytes();

}  // namespace regatta
