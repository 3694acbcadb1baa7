#include "worker/out_of_memory.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace regatta {

namespace {

constexpr double kGib = 1024.0 * 1024 * 1024;

std::string counted_samples(std::int64_t samples) {
  return fmt::format("{} sample{}", samples, samples == 1 ? "" : "s");
}

}  // namespace

std::int64_t fitting_samples(const MemoryTry& smaller, const MemoryTry& larger, std::int64_t limit_bytes,
                             std::int64_t failed) {
  const std::int64_t most = std::max(larger.samples, failed - 1);
  const std::int64_t samples = larger.samples - smaller.samples, bytes = larger.peak_bytes - smaller.peak_bytes;
  if (samples <= 0 || bytes <= 0) return larger.samples;  // caches hide what a sample takes
  const double per_sample = static_cast<double>(bytes) / static_cast<double>(samples);
  const double more = static_cast<double>(limit_bytes - larger.peak_bytes) / per_sample;
  return std::clamp(larger.samples + static_cast<std::int64_t>(std::clamp(more, 0.0, static_cast<double>(most))),
                    larger.samples, most);
}

std::string asked_and_free(const std::string& text) {
  static constexpr std::string_view kEnd = " is free.";
  const auto free = text.find(kEnd);  // of CUDA's; what follows names processes and settings
  const std::string words = text.substr(0, free == std::string::npos ? free : free + kEnd.size());
  return words.substr(0, words.find('\n'));
}

std::string to_text(const OutOfMemory& trouble) {
  std::string words = fmt::format("out of memory: {} computes {} at once: {}", trouble.where,
                                  counted_samples(trouble.samples), asked_and_free(trouble.text));
  if (trouble.device)
    words += fmt::format(" ({:.2f} of {:.2f} GiB free, at most {:.2f} GiB in tensors)",
                         static_cast<double>(trouble.device->free_bytes) / kGib,
                         static_cast<double>(trouble.device->total_bytes) / kGib,
                         static_cast<double>(trouble.device->peak_bytes) / kGib);
  if (trouble.fits == 0) return words + "\n  Not even one sample fits: a smaller model, or a device with more memory.";
  const std::string also =
      trouble.estimate > trouble.fits ? fmt::format(", and about {} would", counted_samples(trouble.estimate)) : "";
  return words + fmt::format(
                     "\n  {} fit{}{}: write train.micro_batch: {}, or micro_batch: auto, which finds it before "
                     "the first step; the sums stay the same.",
                     counted_samples(trouble.fits), trouble.fits == 1 ? "s" : "", also, trouble.estimate);
}

}  // namespace regatta
