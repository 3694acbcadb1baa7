#pragma once
// This host, as records and messages carry it.

#include <cstdint>
#include <string>

namespace regatta {

/// Throws IoError when the kernel does not say.
std::string host_name();

/// Bytes of physical memory.
std::int64_t host_memory_bytes();

}  // namespace regatta
