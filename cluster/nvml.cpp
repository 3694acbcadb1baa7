// The few functions and types of nvml.h that are used here, as its ABI has had them since driver 450: the header comes
// with a toolkit, which a machine need not have.
#include "cluster/nvml.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <limits>
#include <type_traits>
#include <utility>

#include "common/error.hpp"

namespace regatta {

namespace {

constexpr int kSuccess = 0;
constexpr unsigned kMostLinks = 18;  // NVML_NVLINK_MAX_LINKS
constexpr double kMilli = 1e-3;

using Device = struct NvmlDeviceHandle*;
struct Memory {
  unsigned long long total, free, used;
};
struct Utilisation {
  unsigned gpu, memory;  // per cent
};
struct PciInfo {
  char legacy_bus_id[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};

}  // namespace

struct Nvml::Library {
  void* handle = nullptr;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*error_string)(int) = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*by_index)(unsigned, Device*) = nullptr;
  int (*by_pci)(const char*, Device*) = nullptr;
  int (*name)(Device, char*, unsigned) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
  int (*pci)(Device, PciInfo*) = nullptr;
  int (*power_limit)(Device, unsigned*) = nullptr;
  int (*energy)(Device, unsigned long long*) = nullptr;
  int (*use)(Device, Utilisation*) = nullptr;
  int (*pcie_generation)(Device, unsigned*) = nullptr;
  int (*pcie_width)(Device, unsigned*) = nullptr;
  int (*nvlink_state)(Device, unsigned, unsigned*) = nullptr;
  std::string driver;

  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (!driver.empty()) shutdown();
    if (handle != nullptr) ::dlclose(handle);
  }

  /// The name that is missing; empty when all are there.
  std::string resolve() {
    std::string missing;
    const auto find = [&](auto& function, const char* symbol) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(handle, symbol));
      if (function == nullptr && missing.empty()) missing = symbol;
    };
    find(init, "nvmlInit_v2");
    find(shutdown, "nvmlShutdown");
    find(error_string, "nvmlErrorString");
    find(driver_version, "nvmlSystemGetDriverVersion");
    find(count, "nvmlDeviceGetCount_v2");
    find(by_index, "nvmlDeviceGetHandleByIndex_v2");
    find(by_pci, "nvmlDeviceGetHandleByPciBusId_v2");
    find(name, "nvmlDeviceGetName");
    find(memory, "nvmlDeviceGetMemoryInfo");
    find(pci, "nvmlDeviceGetPciInfo_v3");
    find(power_limit, "nvmlDeviceGetPowerManagementLimit");
    find(energy, "nvmlDeviceGetTotalEnergyConsumption");
    find(use, "nvmlDeviceGetUtilizationRates");
    find(pcie_generation, "nvmlDeviceGetCurrPcieLinkGeneration");
    find(pcie_width, "nvmlDeviceGetCurrPcieLinkWidth");
    find(nvlink_state, "nvmlDeviceGetNvLinkState");
    return missing;
  }

  void check(int result, const std::string& what) const {
    if (result != kSuccess) throw IoError("NVML: " + what + ": " + error_string(result));
  }

  /// What a board may not know.
  template <class Number, class Ask>
  std::optional<double> maybe(Ask ask, Device device) const {
    Number value{};
    return ask(device, &value) == kSuccess ? std::optional<double>(static_cast<double>(value)) : std::nullopt;
  }
};

std::filesystem::path Nvml::nvml_library() {
  const char* named = std::getenv("REGATTA_NVML");
  return named != nullptr && *named != '\0' ? named : "libnvidia-ml.so.1";
}

std::variant<Nvml, std::string> Nvml::open(const std::filesystem::path& path) {
  const auto library = std::make_shared<Library>();
  library->handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library->handle == nullptr) return fmt::format("no NVML: {}", ::dlerror());
  if (const auto missing = library->resolve(); !missing.empty())
    return fmt::format("no NVML: {} has no {}", path.string(), missing);
  if (const int result = library->init(); result != kSuccess)
    return fmt::format("no NVML: {}", library->error_string(result));
  std::array<char, 80> version{};  // NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
  library->driver = library->driver_version(version.data(), version.size()) == kSuccess ? version.data() : "unknown";
  return Nvml(library);
}

const std::string& Nvml::driver() const {
  return library_->driver;
}

std::vector<NvmlDevice> Nvml::devices() const {
  const Library& nvml = *library_;
  unsigned count = 0;
  nvml.check(nvml.count(&count), "how many devices");
  std::vector<NvmlDevice> devices;
  for (unsigned i = 0; i < count; ++i) {
    Device device = nullptr;
    nvml.check(nvml.by_index(i, &device), fmt::format("device {}", i));
    NvmlDevice& out = devices.emplace_back();
    std::array<char, 96> name{};  // NVML_DEVICE_NAME_V2_BUFFER_SIZE
    if (nvml.name(device, name.data(), name.size()) == kSuccess) out.name = name.data();
    PciInfo pci{};
    if (nvml.pci(device, &pci) == kSuccess) out.pci_bus_id = pci.bus_id;
    Memory memory{};
    if (nvml.memory(device, &memory) == kSuccess) out.memory_bytes = static_cast<std::int64_t>(memory.total);
    if (const auto limit_mw = nvml.maybe<unsigned>(nvml.power_limit, device)) out.power_limit_w = *limit_mw * kMilli;
    if (const auto energy_mj = nvml.maybe<unsigned long long>(nvml.energy, device)) out.energy_j = *energy_mj * kMilli;
    Utilisation use{};
    if (nvml.use(device, &use) == kSuccess) out.use = use.gpu / 100.0;
    if (const auto value = nvml.maybe<unsigned>(nvml.pcie_generation, device))
      out.pcie_generation = static_cast<int>(*value);
    if (const auto value = nvml.maybe<unsigned>(nvml.pcie_width, device)) out.pcie_width = static_cast<int>(*value);
    for (unsigned link = 0; link < kMostLinks; ++link) {
      unsigned active = 0;
      if (nvml.nvlink_state(device, link, &active) == kSuccess && active != 0) ++out.nvlinks;
    }
  }
  return devices;
}

std::optional<double> Nvml::energy_j(const std::string& pci_bus_id) const {
  Device device = nullptr;
  library_->check(library_->by_pci(pci_bus_id.c_str(), &device), "device " + pci_bus_id);
  const auto energy_mj = library_->maybe<unsigned long long>(library_->energy, device);
  return energy_mj ? std::optional(*energy_mj * kMilli) : std::nullopt;
}

std::optional<double> NvmlMeter::total_j() const {
  double sum = 0;
  for (const auto& device : devices_) {
    const auto energy = nvml_.energy_j(device);
    if (!energy) return {};
    sum += *energy;
  }
  return sum;
}

std::variant<NvmlMeter, std::string> NvmlMeter::open(const Nvml& nvml, const std::vector<std::string>& pci_bus_ids) {
  NvmlMeter meter(nvml);
  meter.devices_ = pci_bus_ids;
  meter.source_ = fmt::format("NVML: {} board{}", pci_bus_ids.size(), pci_bus_ids.size() == 1 ? "" : "s");
  try {
    const auto now = meter.total_j();
    if (!now) return "no energy counter: the boards are older than Volta";
    meter.last_j_ = *now;
  } catch (const IoError& error) {
    return error.what();
  }
  return meter;
}

double NvmlMeter::take_j() {
  try {
    if (const auto now = total_j()) return *now - std::exchange(last_j_, *now);
  } catch (const IoError&) {  // the device is gone: said once, by the figure that is missing
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace regatta
