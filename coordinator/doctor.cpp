#include "coordinator/doctor.hpp"

#include <fmt/format.h>

#include <variant>

#include "cluster/gpu_probe.hpp"
#include "cluster/rapl.hpp"
#include "common/printable.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

namespace {

constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr std::size_t kWordsColumn = 12;  // where the words begin

std::string line(const char* name, bool good, const std::string& words, bool colour) {
  const std::string label =
      fmt::format("{:<8}", name) + painted(good ? "yes" : "no ", good ? Style::kGreen : Style::kYellow, colour);
  return label + " " + printable_lines(words, kWordsColumn) + "\n";
}

std::string gpu_words(const GpuDevice& gpu) {
  return fmt::format("{}, {:.0f} GiB, compute capability {}.{}, {}", gpu.name,
                     static_cast<double>(gpu.memory_bytes) / kGib, gpu.capability_major, gpu.capability_minor,
                     gpu.pci_bus_id);
}

std::string board_words(const NvmlDevice& board) {
  std::string words = fmt::format("{} at {}", board.name, board.pci_bus_id);
  if (board.power_limit_w) words += fmt::format(", at most {:.0f} W", *board.power_limit_w);
  words += board.energy_j ? ", counts its energy" : ", no energy counter";
  if (board.use) words += fmt::format(", {:.0f} % in use", 100 * *board.use);
  if (board.pcie_generation && board.pcie_width)
    words += fmt::format(", PCIe {} x{}", *board.pcie_generation, *board.pcie_width);
  if (board.nvlinks > 0) words += fmt::format(", {} NVLinks", board.nvlinks);
  return words;
}

std::string refusal_of(const Diagnosis& diagnosis) {
  return gpu_refusal({.ranks = 1}, diagnosis.gpus, diagnosis.on_bus);
}

Json board_json(const NvmlDevice& board) {
  return {{"name", board.name},
          {"pci_bus_id", board.pci_bus_id},
          {"memory_bytes", board.memory_bytes},
          {"power_limit_w", value_or_null(board.power_limit_w)},
          {"energy_j", value_or_null(board.energy_j)},
          {"use", value_or_null(board.use)},
          {"pcie_generation", value_or_null(board.pcie_generation)},
          {"pcie_width", value_or_null(board.pcie_width)},
          {"nvlinks", board.nvlinks}};
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

Diagnosis examine(const std::filesystem::path& worker) {
  Diagnosis found{.machine = this_machine(), .gpus = ask_for_gpus(worker), .on_bus = pci_gpus()};
  const auto nvml = Nvml::open();
  if (const auto* library = std::get_if<Nvml>(&nvml)) {
    found.nvml_driver = library->driver();
    try {
      found.boards = library->devices();
    } catch (const IoError& error) {
      found.nvml_trouble = error.what();
    }
  } else {
    found.nvml_trouble = std::get<std::string>(nvml);
  }
  const auto rapl = RaplMeter::open();
  if (const auto* meter = std::get_if<RaplMeter>(&rapl))
    found.rapl_source = meter->source();
  else
    found.rapl_trouble = std::get<std::string>(rapl);
  return found;
}

Json to_json(const Diagnosis& diagnosis) {
  Json on_bus = Json::array(), boards = Json::array();
  for (const PciGpu& gpu : diagnosis.on_bus)
    on_bus.push_back({{"vendor", gpu.vendor}, {"id", gpu.id}, {"address", gpu.address}});
  for (const NvmlDevice& board : diagnosis.boards) boards.push_back(board_json(board));
  const Inventory& machine = diagnosis.machine;
  return {
      {"machine",
       {{"host", machine.host},
        {"cpu_model", machine.cpu_model},
        {"cores", machine.cores},
        {"host_cores", machine.host_cores},
        {"memory_bytes", machine.memory_bytes},
        {"numa_domains", machine.numa_domains}}},
      {"gpus",
       {{"report", to_json(diagnosis.gpus)}, {"on_bus", on_bus}, {"refusal", text_or_null(refusal_of(diagnosis))}}},
      {"nvml",
       {{"driver", text_or_null(diagnosis.nvml_driver)},
        {"trouble", text_or_null(diagnosis.nvml_trouble)},
        {"devices", boards}}},
      {"rapl", {{"source", text_or_null(diagnosis.rapl_source)}, {"trouble", text_or_null(diagnosis.rapl_trouble)}}}};
}

std::string to_page(const Diagnosis& diagnosis, bool colour) {
  const auto& [machine, gpus, on_bus, driver, nvml_trouble, boards, rapl_source, rapl_trouble] = diagnosis;
  const std::string refusal = refusal_of(diagnosis);
  std::string page =
      line("cpu", true,
           fmt::format("{}: {}, {} of {} cores, {:.0f} GiB, {} NUMA domain{}", machine.host, machine.cpu_model,
                       machine.cores.size(), machine.host_cores, static_cast<double>(machine.memory_bytes) / kGib,
                       machine.numa_domains, machine.numa_domains == 1 ? "" : "s"),
           colour);
  page += line("plug-in", !gpus.plugin.empty(),
               gpus.plugin.empty() ? gpus.trouble
                                   : fmt::format("{}: CUDA {}, NCCL {}", gpus.plugin, cuda_version_text(gpus.runtime),
                                                 nccl_version_text(gpus.nccl)),
               colour);
  if (!gpus.plugin.empty()) {
    page += line("torch", gpus.untrained.empty(),
                 gpus.untrained.empty()
                     ? "libtorch's CUDA half is there"
                     : "libtorch's CUDA half cannot be loaded: " + gpus.untrained + "\n./dev setup --cuda fetches it",
                 colour);
    page += line("driver", gpus.driver > 0,
                 gpus.driver > 0 ? "knows CUDA up to " + cuda_version_text(gpus.driver) : "none is loaded", colour);
    std::string devices;
    for (const GpuDevice& gpu : gpus.devices) devices += (devices.empty() ? "" : "\n") + gpu_words(gpu);
    page += line("devices", !gpus.devices.empty(), devices.empty() ? gpus.trouble : devices, colour);
  }
  page +=
      line("nccl", refusal.empty(), refusal.empty() ? "rows with `backend: nccl` run" : "refused: " + refusal, colour);
  std::string seen = "driver " + driver;
  for (const NvmlDevice& board : boards) seen += "\n" + board_words(board);
  page += line("NVML", nvml_trouble.empty(), nvml_trouble.empty() ? seen : nvml_trouble, colour);
  page += line("RAPL", rapl_trouble.empty(), rapl_trouble.empty() ? rapl_source : rapl_trouble, colour);
  return page + line("energy", !rapl_source.empty(),
                     rapl_source.empty() ? "not measured here; estimated where the pool says "
                                           "power: {idle_w: 60, busy_w: 220, source: \"vendor TDP\"}"
                                         : "of each epoch is measured",
                     colour);
}

}  // namespace regatta
