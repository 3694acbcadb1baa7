#pragma once
// libregatta_cuda.so as the worker meets it: found beside the worker, or not there.

#include <filesystem>
#include <optional>
#include <string>
#include <variant>

#include "cluster/gpus.hpp"
#include "worker/cuda/abi.hpp"

namespace regatta {

/// Where the plug-in is: $REGATTA_CUDA_PLUGIN, else beside this program, else in ../lib. Nothing: nowhere.
std::optional<std::filesystem::path> find_cuda_plugin();

/// A loaded plug-in. It stays in the process to its end, whatever becomes of this handle: CUDA cannot be unloaded.
class CudaPlugin {
 public:
  /// dlopen(RTLD_NOW | RTLD_GLOBAL), then the ABI's check. Call it before the first tensor and the first thread: CUDA
  /// registers itself with ATen as it is loaded. The other alternative says why it cannot be used.
  static std::variant<CudaPlugin, std::string> load(const std::filesystem::path& path);

  const CudaTable& table() const { return *table_; }
  /// Asks the driver, and whether libtorch's CUDA half can be loaded, which it then is.
  GpuReport report() const;
  /// Before the first tensor where one is to live on a device. Why it cannot be loaded; empty: it is.
  std::string load_torch() const;

 private:
  CudaPlugin(std::filesystem::path path, const CudaTable* table) : path_(std::move(path)), table_(table) {}

  std::filesystem::path path_;
  const CudaTable* table_;  // in the plug-in
};

/// The plug-in, or why there is none; neither where nobody asked for it.
struct LoadedCuda {
  std::optional<CudaPlugin> plugin;
  std::string trouble;

  GpuReport report() const;  ///< asks the driver, where there is a plug-in
};

/// Finds and loads it.
LoadedCuda load_cuda();

/// The same in a process of its own: what `regatta-worker --gpus` prints.
GpuReport report_gpus();

}  // namespace regatta
