#pragma once
// What the worker and libregatta_cuda.so say to each other. The plug-in is found at run time and may be of another
// build: so C types alone, and `abi` first, for good. A change of anything below raises kCudaAbi.

#include <cstddef>
#include <cstdint>

namespace regatta {

inline constexpr std::uint32_t kCudaAbi = 1;
inline constexpr const char* kCudaEntry = "regatta_cuda_plugin";  ///< const CudaTable* (*)(), of the plug-in's life

extern "C" {

struct CudaDevice {
  char name[256];
  char pci_bus_id[32];  ///< "0000:3B:00.0": how NVML knows the same device
  std::int64_t memory_bytes;
  std::int32_t capability_major, capability_minor;
};

struct CudaVersions {
  std::int32_t driver;   ///< the newest CUDA that the driver can, 13000 for 13.0; 0: no driver
  std::int32_t runtime;  ///< of libcudart, 13000
  std::int32_t nccl;     ///< of libnccl as it was loaded, 22809 for 2.28.9
};

struct CudaTable {
  std::uint32_t abi;    ///< kCudaAbi of the build
  const char* version;  ///< REGATTA_VERSION of the build; weights and plans are only exchanged within one
  std::int32_t trains;  ///< 0: it answers questions only
  CudaVersions (*versions)();
  /// Writes at most `room` devices, those that CUDA_VISIBLE_DEVICES leaves, in its order, and returns how many there
  /// are. Where there are none, `why` says so in the driver's words. Leaves no context on any device.
  std::int32_t (*devices)(CudaDevice* out, std::int32_t room, char* why, std::size_t why_bytes);
};

}  // extern "C"

}  // namespace regatta
