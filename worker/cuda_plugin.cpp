#include "worker/cuda_plugin.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

namespace regatta {

namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "libregatta_cuda.so";
constexpr int kMostDevices = 1'024;  // jobs/SCHEMA.md, gpus_per_node

std::optional<std::string> visible_devices() {
  const char* value = std::getenv("CUDA_VISIBLE_DEVICES");
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

std::optional<fs::path> find_cuda_plugin() {
  if (const char* named = std::getenv("REGATTA_CUDA_PLUGIN"); named != nullptr && *named != '\0') return named;
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& path : {folder / kFile, folder.parent_path() / "lib" / kFile})
    if (fs::exists(path, error)) return path;
  return {};
}

std::variant<CudaPlugin, std::string> CudaPlugin::load(const fs::path& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return fmt::format("{} cannot be loaded: {}", path.string(), ::dlerror());
  using Entry = const CudaTable* (*)();
  const auto entry = reinterpret_cast<Entry>(::dlsym(library, kCudaEntry));
  if (entry == nullptr) return fmt::format("{} is no plug-in of Regatta: it has no {}", path.string(), kCudaEntry);
  const CudaTable* table = entry();
  if (table->abi != kCudaAbi)
    return fmt::format("{} speaks version {} of the plug-in's language, this worker version {}\n  build both together",
                       path.string(), table->abi, kCudaAbi);
  if (std::string(table->version) != REGATTA_VERSION)
    return fmt::format("{} is of Regatta {}, this worker of {}\n  build both together", path.string(), table->version,
                       REGATTA_VERSION);
  return CudaPlugin(path, table);
}

std::string CudaPlugin::load_torch() const {
  std::array<char, 1024> why{};
  return table_->load_torch(why.data(), why.size()) != 0 ? "" : why.data();
}

GpuReport CudaPlugin::report() const {
  const CudaVersions versions = table_->versions();
  GpuReport report{.plugin = path_.string(),
                   .driver = versions.driver,
                   .runtime = versions.runtime,
                   .nccl = versions.nccl,
                   .untrained = load_torch(),
                   .visible = visible_devices()};
  std::vector<CudaDevice> devices(kMostDevices);
  std::array<char, 1024> why{};
  const int count = table_->devices(devices.data(), kMostDevices, why.data(), why.size());
  devices.resize(static_cast<std::size_t>(std::clamp(count, 0, kMostDevices)));
  for (const CudaDevice& device : devices)
    report.devices.push_back({.name = device.name,
                              .pci_bus_id = device.pci_bus_id,
                              .memory_bytes = device.memory_bytes,
                              .capability_major = device.capability_major,
                              .capability_minor = device.capability_minor});
  if (devices.empty()) report.trouble = why.data();
  if (devices.empty() && report.driver == 0) report.trouble = "no driver of NVIDIA's is loaded; " + report.trouble;
  return report;
}

LoadedCuda load_cuda() {
  const auto path = find_cuda_plugin();
  if (!path)
    return {.trouble = fmt::format("{} is not beside regatta-worker: it was built without a CUDA toolkit and NCCL\n"
                                   "  install both and build again",
                                   kFile)};
  auto loaded = CudaPlugin::load(*path);
  if (const auto* why = std::get_if<std::string>(&loaded)) return {.trouble = *why};
  return {.plugin = std::get<CudaPlugin>(loaded)};
}

GpuReport LoadedCuda::report() const {
  return plugin ? plugin->report() : GpuReport{.trouble = trouble, .visible = visible_devices()};
}

GpuReport report_gpus() {
  return load_cuda().report();
}

}  // namespace regatta
