#pragma once
// What a worker found fastest for the linear layers (jobs/linear_kernels.hpp), kept in HOME/kernels: a training that
// runs again on the same machine measures nothing, and computes the same bits.

#include <filesystem>
#include <optional>
#include <string>

#include "cluster/inventory.hpp"
#include "coordinator/measured_files.hpp"
#include "coordinator/state.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// What the kernels depend on: shapes, samples at a time, threads, precision, machine, this version. Pure. `without`:
/// REGATTA_WITHOUT.
Json kernel_key(const Plan& plan, const Inventory& machine, const std::string& without);

class KernelCache {
 public:
  explicit KernelCache(const std::filesystem::path& home) : files_(home / "kernels", "kernels") {}
  /// Nothing where nothing is kept, or where it is damaged: then it is measured, and kept, again.
  std::optional<LinearKernels> find(const Json& key) const;
  void keep(const Json& key, const LinearKernels& kernels) const;  ///< throws IoError

 private:
  MeasuredFiles files_;
};

/// What a run measured, by its start line; nothing when it says nothing.
std::optional<LinearKernels> measured_kernels(const RunState& run);

}  // namespace regatta
