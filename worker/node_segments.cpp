#include "worker/node_segments.hpp"

#include <sched.h>

#include <algorithm>
#include <map>
#include <new>
#include <span>

namespace regatta {
namespace {

/// Domains by local rank, numbered from 0 in the order of their first ranks.
std::vector<std::size_t> domains_of_ranks(int own, RankContext& ranks) {
  const auto count = static_cast<std::size_t>(ranks.local_size());
  const std::span all(reinterpret_cast<int*>(ranks.node_shared(count * sizeof(int))), count);
  all[static_cast<std::size_t>(ranks.local_rank())] = own;
  ranks.node_barrier();
  std::map<int, std::size_t> numbers;
  std::vector<std::size_t> domains;
  for (const int domain : all) domains.push_back(numbers.emplace(domain, numbers.size()).first->second);
  return domains;
}

std::vector<std::byte*> shared_copies(RankContext& ranks, std::size_t count, std::size_t bytes) {
  std::byte* const first = ranks.node_shared(count * bytes);
  std::vector<std::byte*> copies;
  for (std::size_t i = 0; i < count; ++i) copies.push_back(first + i * bytes);
  return copies;
}

}  // namespace

NodeSegments::NodeSegments(const NodeLayout& layout, RankContext& ranks, int numa_domain, bool masters)
    : layout_(layout) {
  const auto bytes = static_cast<std::size_t>(layout.bytes);
  const auto count = static_cast<std::size_t>(ranks.local_size()), own = static_cast<std::size_t>(ranks.local_rank());
  boards_ = {reinterpret_cast<RankBoard*>(ranks.node_shared(count * sizeof(RankBoard))), count};
  new (&boards_[own]) RankBoard;
  if (count > 1) gradients_ = shared_copies(ranks, count, bytes);

  const std::vector<std::size_t> domains = domains_of_ranks(numa_domain, ranks);
  weights_ = shared_copies(ranks, 1 + *std::max_element(domains.begin(), domains.end()), bytes);
  own_domain_ = domains[own];
  first_of_domain_ = std::find(domains.begin(), domains.end(), own_domain_) - domains.begin() == ranks.local_rank();
  if (masters) masters_ = ranks.node_shared(static_cast<std::size_t>(layout.elements) * sizeof(float));
}

std::byte* NodeSegments::master(std::size_t parameter) const {
  return masters_ + (bucket_of(parameter).first_element + layout_.slots[parameter].begin) *
                        static_cast<std::int64_t>(sizeof(float));
}

int numa_domain_here() {
  unsigned core = 0, domain = 0;
  return ::getcpu(&core, &domain) == 0 ? static_cast<int>(domain) : 0;
}

}  // namespace regatta
