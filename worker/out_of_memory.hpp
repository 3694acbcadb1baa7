#pragma once
// What to say when a pass does not fit into memory: what was asked, what is free, and which train.micro_batch would
// fit. Pure functions.

#include <cstdint>
#include <optional>
#include <string>

#include "worker/device.hpp"

namespace regatta {

/// A pass that fitted.
struct MemoryTry {
  std::int64_t samples = 0, peak_bytes = 0;
};

/// How many samples fit into `limit_bytes`: the line through two tries of different sizes gives what a sample takes and
/// what does not depend on samples. No fewer than the larger try's, fewer than `failed`.
std::int64_t fitting_samples(const MemoryTry& smaller, const MemoryTry& larger, std::int64_t limit_bytes,
                             std::int64_t failed);

/// Of what an allocator of torch's says: what was asked for and what is free, without what follows.
std::string asked_and_free(const std::string& text);

struct OutOfMemory {
  std::string where;         ///< "rank 1 on node-7"
  std::int64_t samples = 0;  ///< that were computed at once
  std::string text;          ///< the allocator's
  std::optional<DeviceMemory> device;
  std::int64_t fits = 0;      ///< samples, as tried; 0: not even one
  std::int64_t estimate = 0;  ///< samples, at least `fits`
};
std::string to_text(const OutOfMemory& trouble);

}  // namespace regatta
