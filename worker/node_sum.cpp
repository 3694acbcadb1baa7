// Each rank has a board with two pages. In turn t it writes page t % 2 and raises its count to t; when all counts have
// come to t it reads everybody's page. Nobody can write that page again, in turn t + 2, before all have raised their
// counts to t + 1, and so have read it.

#include "worker/node_sum.hpp"

#include <algorithm>
#include <array>
#include <new>

namespace regatta {

namespace {

constexpr std::size_t kPageValues = 2048;  // twice what resnet18's widest batch norm sums: 16 KiB

}  // namespace

struct NodeSum::Board {
  SharedCount turn;
  std::array<std::array<double, kPageValues>, 2> pages;
};

NodeSum::NodeSum(RankContext& ranks, Watchdog& watchdog, const WaitPolicy& policy)
    : local_rank_(ranks.local_rank()), local_size_(ranks.local_size()), watchdog_(watchdog), policy_(policy) {
  const auto bytes = static_cast<std::size_t>(local_size_) * sizeof(Board);
  boards_ = reinterpret_cast<Board*>(ranks.node_shared(bytes));
  new (&boards_[local_rank_].turn) SharedCount;
  ranks.node_barrier();  // from here on every count is zero
}

Duration NodeSum::sum(std::span<double> values, const char* what) {
  if (local_size_ == 1) return {};
  const WatchedWait wait(watchdog_, what);
  Duration waited{};
  for (std::size_t i = 0; i < values.size(); i += kPageValues)
    waited += sum_page(values.subspan(i, std::min(kPageValues, values.size() - i)));
  return waited;
}

Duration NodeSum::sum_page(std::span<double> values) {
  const std::size_t page = ++turn_ % 2;
  Duration waited{};
  std::copy(values.begin(), values.end(), boards_[local_rank_].pages[page].begin());
  raise_to(boards_[local_rank_].turn, turn_);
  for (int r = 0; r < local_size_; ++r) waited += wait_until(boards_[r].turn, turn_, policy_);
  for (std::size_t i = 0; i < values.size(); ++i) {
    double sum = boards_[0].pages[page][i];
    for (int r = 1; r < local_size_; ++r) sum += boards_[r].pages[page][i];
    values[i] = sum;
  }
  return waited;
}

}  // namespace regatta
