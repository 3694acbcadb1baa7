#include "worker/pinning.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sched.h>

#include <cerrno>

#include "common/error.hpp"

namespace regatta {

namespace {

/// Nothing on success.
std::string pin(const std::vector<int>& cores, int rank) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<std::size_t>(core), &set);
  if (::sched_setaffinity(0, sizeof set, &set) == 0) return {};
  return fmt::format("rank {} could not be bound to its cores ({}); it runs where the system puts it", rank,
                     errno_text(errno));
}

}  // namespace

std::vector<std::string> take_place(const Placement& placement, int rank) {
  std::vector<std::string> warnings;
  const auto& dealt = placement.cores;
  if (!dealt.empty() && !dealt.at(static_cast<std::size_t>(rank)).empty()) {
    const std::string trouble = pin(dealt[static_cast<std::size_t>(rank)], rank);
    if (!trouble.empty()) warnings.push_back(trouble);
  }
  at::set_num_threads(threads_of(placement, rank));
  at::set_num_interop_threads(1);
  if (placement.contended && rank == 0)
    warnings.push_back(fmt::format("{} ranks x {} threads share fewer cores: times are not comparable (contended)",
                                   placement.ranks, placement.threads));
  return warnings;
}

}  // namespace regatta
