// A plug-in without CUDA behind it, for machines that have none: what it finds is what the test says.
//   REGATTA_FAKE_GPUS     how many devices; CUDA_VISIBLE_DEVICES cuts the list as the real runtime does, by numbers
//   REGATTA_FAKE_NCCL     its NCCL's version, 22809 without
//   REGATTA_FAKE_TORCH    1: it says that libtorch's CUDA half is there
//   REGATTA_FAKE_ABI      the version of the plug-in's language that it speaks
//   REGATTA_FAKE_LOADED   a file that it makes when it is loaded
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "worker/cuda/abi.hpp"

namespace {

int number(const char* variable, int otherwise) {
  const char* value = std::getenv(variable);
  return value == nullptr ? otherwise : std::atoi(value);
}

std::vector<int> visible() {
  const int count = number("REGATTA_FAKE_GPUS", 0);
  std::vector<int> devices;
  const char* wanted = std::getenv("CUDA_VISIBLE_DEVICES");
  if (wanted == nullptr) {
    for (int i = 0; i < count; ++i) devices.push_back(i);
    return devices;
  }
  std::istringstream list(wanted);
  for (std::string word; std::getline(list, word, ',') && std::atoi(word.c_str()) < count;)
    devices.push_back(std::atoi(word.c_str()));
  return devices;
}

regatta::CudaVersions versions() {
  return {.driver = number("REGATTA_FAKE_GPUS", 0) > 0 ? 13000 : 0,
          .runtime = 13000,
          .nccl = number("REGATTA_FAKE_NCCL", 22809)};
}

std::int32_t devices(regatta::CudaDevice* out, std::int32_t room, char* why, std::size_t why_bytes) {
  const auto found = visible();
  std::snprintf(why, why_bytes, "%s", found.empty() ? "no CUDA device: the fake driver's words" : "");
  for (int i = 0; i < std::min<int>(room, static_cast<int>(found.size())); ++i) {
    std::snprintf(out[i].name, sizeof out[i].name, "Fake %d", found[static_cast<std::size_t>(i)]);
    std::snprintf(out[i].pci_bus_id, sizeof out[i].pci_bus_id, "0000:%02x:00.0", found[static_cast<std::size_t>(i)]);
    out[i].memory_bytes = std::int64_t{80} << 30;
    out[i].capability_major = 9;
    out[i].capability_minor = 0;
  }
  return static_cast<std::int32_t>(found.size());
}

std::int32_t load_torch(char* why, std::size_t why_bytes) {
  std::snprintf(why, why_bytes, "the fake loader's words");
  return number("REGATTA_FAKE_TORCH", 0);
}

}  // namespace

extern "C" const regatta::CudaTable* regatta_cuda_plugin() {
  static const regatta::CudaTable kTable{
      .abi = static_cast<std::uint32_t>(number("REGATTA_FAKE_ABI", regatta::kCudaAbi)),
      .version = REGATTA_VERSION,
      .versions = versions,
      .devices = devices,
      .load_torch = load_torch,
      .open_device = nullptr};
  if (const char* file = std::getenv("REGATTA_FAKE_LOADED")) std::ofstream(file) << "loaded\n";
  return &kTable;
}
