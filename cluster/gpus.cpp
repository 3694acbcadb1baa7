#include "cluster/gpus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

namespace regatta {

namespace {

namespace fs = std::filesystem;

constexpr int kRanksPerSharedDevice = 2;

std::string first_word(const fs::path& file) {
  std::ifstream stream(file);
  std::string word;
  stream >> word;
  return word;
}

std::string counted(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " GPU" : " GPUs");
}

std::string visible_words(const GpuReport& report) {
  return report.visible ? fmt::format(" (CUDA_VISIBLE_DEVICES is \"{}\")", *report.visible) : "";
}

/// What is on the bus although CUDA sees nothing: a missing driver, or another maker's device.
std::string bus_words(const std::vector<PciGpu>& on_bus) {
  std::string words;
  for (const PciGpu& gpu : on_bus) {
    const char* needs = gpu.vendor == "AMD"     ? "needs ROCm and RCCL, for which Regatta has no back end"
                        : gpu.vendor == "Intel" ? "needs oneAPI and oneCCL, for which Regatta has no back end"
                                                : "needs NVIDIA's driver";
    words += fmt::format("\n  the {} device {} at {} {}", gpu.vendor, gpu.id, gpu.address, needs);
  }
  return words;
}

Json to_json(const GpuDevice& device) {
  return {{"name", device.name},
          {"pci_bus_id", device.pci_bus_id},
          {"memory_bytes", device.memory_bytes},
          {"capability", {device.capability_major, device.capability_minor}}};
}

GpuDevice device_from_json(const Json& json) {
  GpuDevice device{.name = json_get<std::string>(json, "name"),
                   .pci_bus_id = json_get<std::string>(json, "pci_bus_id"),
                   .memory_bytes = json_get<std::int64_t>(json, "memory_bytes")};
  const auto capability = json_get<std::vector<int>>(json, "capability");
  if (capability.size() != 2) json_bad("capability", "two numbers", json_at(json, "capability").dump());
  device.capability_major = capability[0];
  device.capability_minor = capability[1];
  return device;
}

}  // namespace

Json to_json(const GpuReport& report) {
  Json devices = Json::array();
  for (const GpuDevice& device : report.devices) devices.push_back(to_json(device));
  return {{"plugin", report.plugin},
          {"trouble", report.trouble},
          {"driver", report.driver},
          {"runtime", report.runtime},
          {"nccl", report.nccl},
          {"untrained", report.untrained},
          {"visible", value_or_null(report.visible)},
          {"devices", devices}};
}

GpuReport gpu_report_from_json(const Json& json) {
  GpuReport report{.plugin = json_get<std::string>(json, "plugin"),
                   .trouble = json_get<std::string>(json, "trouble"),
                   .driver = json_get<int>(json, "driver"),
                   .runtime = json_get<int>(json, "runtime"),
                   .nccl = json_get<int>(json, "nccl"),
                   .untrained = json_get<std::string>(json, "untrained"),
                   .visible = json_maybe<std::string>(json, "visible")};
  for (const Json& device : json_at(json, "devices")) report.devices.push_back(device_from_json(device));
  return report;
}

std::string nccl_version_text(int version) {  // nccl.h, NCCL_VERSION
  return fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
}

std::string cuda_version_text(int version) {  // cudaRuntimeGetVersion
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::vector<PciGpu> pci_gpus(const fs::path& root) {
  // PCI code and ID assignment: class 03 is a display controller, 12 a processing accelerator (AMD's Instinct).
  constexpr std::array<std::pair<const char*, const char*>, 3> kVendors{
      {{"0x10de", "NVIDIA"}, {"0x1002", "AMD"}, {"0x8086", "Intel"}}};
  std::vector<PciGpu> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root / "sys/bus/pci/devices", none)) {
    const std::string type = first_word(entry.path() / "class"), vendor = first_word(entry.path() / "vendor");
    if (!type.starts_with("0x03") && !type.starts_with("0x12")) continue;
    const auto* known =
        std::find_if(kVendors.begin(), kVendors.end(), [&](const auto& pair) { return vendor == pair.first; });
    const std::string device = first_word(entry.path() / "device");
    if (known == kVendors.end() || device.size() < 3) continue;
    found.push_back({known->second, vendor.substr(2) + ":" + device.substr(2), entry.path().filename().string()});
  }
  std::sort(found.begin(), found.end(), [](const PciGpu& a, const PciGpu& b) { return a.address < b.address; });
  return found;
}

std::string gpu_refusal(const GpuDemand& demand, const GpuReport& report, const std::vector<PciGpu>& on_bus) {
  if (report.plugin.empty() || report.driver == 0 || report.devices.empty())
    return (report.trouble.empty() ? "no CUDA device" : report.trouble) + visible_words(report) + bus_words(on_bus);
  const std::size_t devices = report.devices.size(), ranks = static_cast<std::size_t>(demand.ranks);
  if (ranks > devices && demand.may_share && ranks <= kRanksPerSharedDevice * devices) {
    if (report.nccl < kNcclSharesDevices)
      return fmt::format("two ranks on one GPU need NCCL {}, found {}\n  lower ranks to {}, or install a newer NCCL",
                         nccl_version_text(kNcclSharesDevices), nccl_version_text(report.nccl), devices);
  } else if (ranks > devices) {
    const std::string limit = demand.may_share ? fmt::format(", two ranks at most on each") : ", one for each rank";
    return fmt::format("{} ranks need {}{}; found {}{}\n  lower ranks, or run it where there are more GPUs", ranks,
                       counted(demand.may_share ? (ranks + 1) / kRanksPerSharedDevice : ranks), limit, counted(devices),
                       visible_words(report));
  }
  if (!report.untrained.empty())
    return "libtorch's CUDA half cannot be loaded: " + report.untrained + "\n  ./dev setup --cuda fetches it";
  return "";
}

}  // namespace regatta
