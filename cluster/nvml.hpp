#pragma once
// NVIDIA's management library, opened at run time: nothing is linked, and a machine without it is told, not refused.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace regatta {

/// A device as the driver sees it; what a board cannot say is nothing.
struct NvmlDevice {
  std::string name, pci_bus_id;  ///< "00000000:3B:00.0"
  std::int64_t memory_bytes = 0;
  std::optional<double> power_limit_w;
  std::optional<double> energy_j;  ///< since the driver was loaded (Volta and later)
  std::optional<double> use;       ///< part of the last moment in which a kernel ran, 0 to 1
  std::optional<int> pcie_generation, pcie_width;
  int nvlinks = 0;  ///< that are up
};

/// One thread. Unloaded with the last copy.
class Nvml {
 public:
  /// `library`: $REGATTA_NVML, else the driver's. The other alternative says why it cannot be used.
  static std::variant<Nvml, std::string> open(const std::filesystem::path& library = nvml_library());
  static std::filesystem::path nvml_library();

  const std::string& driver() const;  ///< "580.65.06"
  /// All of the host: CUDA_VISIBLE_DEVICES means nothing to it. Throws IoError in NVML's words.
  std::vector<NvmlDevice> devices() const;
  /// The energy counter of one; nothing where it has none. Throws IoError for a device that is not there.
  std::optional<double> energy_j(const std::string& pci_bus_id) const;

 private:
  struct Library;
  explicit Nvml(std::shared_ptr<const Library> library) : library_(std::move(library)) {}
  std::shared_ptr<const Library> library_;
};

/// The boards of some devices, summed, as their energy counters tell: 64 bits of millijoules, which do not wrap.
class NvmlMeter {
 public:
  static std::variant<NvmlMeter, std::string> open(const Nvml& nvml, const std::vector<std::string>& pci_bus_ids);
  /// Joules since the last take, or since it was opened. NaN when a device went away.
  double take_j();
  const std::string& source() const { return source_; }  ///< "NVML: 2 boards"

 private:
  explicit NvmlMeter(Nvml nvml) : nvml_(std::move(nvml)) {}
  std::optional<double> total_j() const;

  Nvml nvml_;
  std::vector<std::string> devices_;
  std::string source_;
  double last_j_ = 0;
};

}  // namespace regatta
