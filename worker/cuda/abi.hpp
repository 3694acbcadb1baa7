#pragma once
// What the worker and libregatta_cuda.so say to each other. The plug-in is found at run time and may be of another
// build: so C types alone up to `abi` and `version`, which stay where they are for good, and what a device is only
// after both have agreed. A change of anything below, or of worker/device.hpp, raises kCudaAbi.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "worker/polled_wait.hpp"

namespace regatta {

class Device;
class RankContext;

inline constexpr std::uint32_t kCudaAbi = 6;
inline constexpr const char* kCudaEntry = "regatta_cuda_plugin";  ///< const CudaTable* (*)(), of the plug-in's life

/// `gpu` by CUDA's number in this process; makes a stream that is the calling thread's from then on, and the device's
/// compute stream. Collective over `ranks`. Throws CommError. See nccl_device.hpp.
using OpenDevice = std::unique_ptr<Device> (*)(int gpu, RankContext& ranks, const PollUntil& poll_until);

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
  CudaVersions (*versions)();
  /// Writes at most `room` devices, those that CUDA_VISIBLE_DEVICES leaves, in its order, and returns how many there
  /// are. Where there are none, `why` says so in the driver's words. Leaves no context on any device.
  std::int32_t (*devices)(CudaDevice* out, std::int32_t room, char* why, std::size_t why_bytes);
  /// Loads libtorch's CUDA half, without which tensors cannot live on a device; once, and before the first tensor. 0:
  /// it cannot be loaded, and `why` says why.
  std::int32_t (*load_torch)(char* why, std::size_t why_bytes);
  OpenDevice open_device;  ///< after load_torch
};

}  // extern "C"

}  // namespace regatta
