// Two pages a rank, used in turn: a rank that begins number n + 2 has finished n + 1, which all have begun, and so all
// have finished n and read its page.

#include "tests/mpi/host_sums.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "common/error.hpp"

namespace regatta::test {

struct HostSums::Rank {
  alignas(kCacheLine) std::atomic<std::int64_t> begun{0};
  std::array<double, 2> times{};  // by page
  alignas(kCacheLine) std::array<std::array<std::byte, kMostBytes>, 2> pages;
};

HostSums::HostSums(RankContext& ranks) : context_(ranks) {
  REGATTA_ENSURE(ranks.local_size() == ranks.world_size(), "all ranks on one host");
  const auto bytes = static_cast<std::size_t>(ranks.world_size()) * sizeof(Rank);
  ranks_ = reinterpret_cast<Rank*>(ranks.node_shared(bytes));
  new (&ranks_[ranks.local_rank()].begun) std::atomic<std::int64_t>(0);
  restart();
}

void HostSums::restart() {
  context_.node_barrier();  // nobody reads the counts of what was before
  ranks_[context_.local_rank()].begun = 0;
  context_.node_barrier();
}

void HostSums::begin(std::int64_t number, const at::Tensor& part, double time) {
  REGATTA_ENSURE(part.is_contiguous() && part.nbytes() <= kMostBytes, "a part that fits a page");
  Rank& mine = ranks_[context_.local_rank()];
  REGATTA_ENSURE(mine.begun == number, "sums in order");
  std::memcpy(mine.pages[static_cast<std::size_t>(number % 2)].data(), part.const_data_ptr(), part.nbytes());
  mine.times[static_cast<std::size_t>(number % 2)] = time;
  mine.begun = number + 1;
}

std::optional<double> HostSums::finish(std::int64_t number, const at::Tensor& sum) const {
  for (int r = 0; r < context_.local_size(); ++r)
    if (ranks_[r].begun <= number) return {};
  const bool narrow = sum.scalar_type() == at::kBFloat16;
  at::Tensor total = at::zeros(sum.sizes(), narrow ? at::kFloat : sum.scalar_type());
  double latest = 0;
  for (int r = 0; r < context_.local_size(); ++r) {
    latest = std::max(latest, ranks_[r].times[static_cast<std::size_t>(number % 2)]);
    total += at::from_blob(ranks_[r].pages[static_cast<std::size_t>(number % 2)].data(), sum.sizes(),
                           at::TensorOptions(sum.scalar_type()));
  }
  sum.copy_(total);
  return latest;
}

}  // namespace regatta::test
