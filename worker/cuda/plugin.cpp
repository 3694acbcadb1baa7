// The entry of libregatta_cuda.so. Nothing here throws but open_device: what CUDA says becomes words or numbers.
//
// libtorch's CUDA half is loaded and not linked: it is 900 MB that a machine may not have fetched, and what is asked of
// it, its kernels, it registers with ATen as it is loaded.
//
// cudaGetDeviceCount and cudaGetDeviceProperties make no context, so a coordinator may have this asked while others
// train on the same devices.

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <nccl.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "worker/cuda/abi.hpp"
#include "worker/cuda/nccl_device.hpp"

namespace regatta {

namespace {

CudaVersions versions() {
  CudaVersions found{};
  if (cudaDriverGetVersion(&found.driver) != cudaSuccess) found.driver = 0;
  if (cudaRuntimeGetVersion(&found.runtime) != cudaSuccess) found.runtime = 0;
  if (ncclGetVersion(&found.nccl) != ncclSuccess) found.nccl = 0;
  return found;
}

void say(char* why, std::size_t bytes, const char* words) {
  if (bytes > 0) std::snprintf(why, bytes, "no CUDA device: %s", words);
}

std::int32_t devices(CudaDevice* out, std::int32_t room, char* why, std::size_t why_bytes) {
  if (why_bytes > 0) *why = '\0';
  int count = 0;
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted != cudaSuccess) {
    say(why, why_bytes, cudaGetErrorString(counted));
    return 0;
  }
  if (count == 0) say(why, why_bytes, "the driver knows none");
  for (int i = 0; i < std::min(count, room); ++i) {
    cudaDeviceProp properties{};
    if (const cudaError_t asked = cudaGetDeviceProperties(&properties, i); asked != cudaSuccess) {
      say(why, why_bytes, cudaGetErrorString(asked));
      return 0;
    }
    CudaDevice& device = out[i];
    std::snprintf(device.name, sizeof device.name, "%s", properties.name);
    std::snprintf(device.pci_bus_id, sizeof device.pci_bus_id, "%04x:%02x:%02x.0", properties.pciDomainID,
                  properties.pciBusID, properties.pciDeviceID);
    device.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
    device.capability_major = properties.major;
    device.capability_minor = properties.minor;
  }
  return count;
}

std::int32_t load_torch(char* why, std::size_t why_bytes) {
  if (::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr) return 1;
  if (why_bytes > 0) std::snprintf(why, why_bytes, "%s", ::dlerror());
  return 0;
}

std::unique_ptr<Device> open_device(int gpu, RankContext& ranks, const PollUntil& poll_until) {
  const auto number = static_cast<c10::DeviceIndex>(gpu);
  c10::cuda::set_device(number);
  // Not the default stream, which waits for all others that are not made to ignore it.
  c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, number));
  return make_nccl_device(gpu, ranks, poll_until);
}

constexpr CudaTable kTable{.abi = kCudaAbi,
                           .version = REGATTA_VERSION,
                           .versions = versions,
                           .devices = devices,
                           .load_torch = load_torch,
                           .open_device = open_device};

}  // namespace

}  // namespace regatta

extern "C" __attribute__((visibility("default"))) const regatta::CudaTable* regatta_cuda_plugin() {
  return &regatta::kTable;
}
