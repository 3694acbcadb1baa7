// What choosing samples costs: an epoch's order must be free beside a step (milliseconds for 128 samples).
#include <benchmark/benchmark.h>

#include "jobs/sample_order.hpp"
#include "jobs/shares.hpp"

namespace {

void sample_order(benchmark::State& state) {
  const regatta::SampleOrder order(state.range(0), 1, 1);
  std::int64_t position = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(order(position));
    if (++position == order.count()) position = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
// MNIST, ImageNet, and just above a power of four, where cycle walking is longest.
BENCHMARK(sample_order)->Arg(60'000)->Arg(1'281'167)->Arg((1 << 20) + 1);

void share(benchmark::State& state) {
  const std::vector<std::int64_t> weights(static_cast<std::size_t>(state.range(0)), 1);
  const auto batch = regatta::global_batch(60'000, 128, 7);
  for (auto _ : state)
    benchmark::DoNotOptimize(regatta::share_of(batch, weights, static_cast<int>(weights.size()) - 1));
}
BENCHMARK(share)->Arg(2)->Arg(1024);

}  // namespace
