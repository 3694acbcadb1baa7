#pragma once
// Which GPUs a machine has, as the plug-in libregatta_cuda.so answers, and what keeps a row from running on them.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace regatta {

struct GpuDevice {
  std::string name;
  std::string pci_bus_id;  ///< "0000:3b:00.0"
  std::int64_t memory_bytes = 0;
  int capability_major = 0, capability_minor = 0;
  bool operator==(const GpuDevice&) const = default;
};

/// What `regatta-worker --gpus` prints.
struct GpuReport {
  std::string plugin;   ///< the file that was loaded; empty: there is none
  std::string trouble;  ///< why there is no device; empty when there is one
  int driver = 0;       ///< the newest CUDA that the driver can, 13000 for 13.0; 0: no driver
  int runtime = 0, nccl = 0;
  std::string untrained;               ///< why it cannot train, were there devices; empty: it can
  std::optional<std::string> visible;  ///< $CUDA_VISIBLE_DEVICES, where it is set
  std::vector<GpuDevice> devices;      ///< those that are visible, in that order
  bool operator==(const GpuReport&) const = default;
};
Json to_json(const GpuReport&);
/// Throws IoError naming the key.
GpuReport gpu_report_from_json(const Json&);

/// "2.28.9" for 22809, as NCCL_VERSION makes it; "13.0" for CUDA's 13000.
std::string nccl_version_text(int version);
std::string cuda_version_text(int version);

/// A display or processing device on the PCI bus, whatever drives it.
struct PciGpu {
  std::string vendor;   ///< "NVIDIA", "AMD", "Intel"
  std::string id;       ///< "1002:740f"
  std::string address;  ///< "0000:03:00.0"
};
/// Those three vendors' devices below `root`/sys/bus/pci/devices, by address. No such folder: none.
std::vector<PciGpu> pci_gpus(const std::filesystem::path& root = "/");

/// Two ranks on one device: NCCL refuses them before this version.
inline constexpr int kNcclSharesDevices = 23'000;

/// What a row wants of one machine.
struct GpuDemand {
  int ranks = 1;
  bool may_share = false;  ///< the pool says oversubscribe: two ranks a device at most
};

/// Why the row cannot run here, with what to do about it; empty: it can. Pure.
std::string gpu_refusal(const GpuDemand& demand, const GpuReport& report, const std::vector<PciGpu>& on_bus);

}  // namespace regatta
