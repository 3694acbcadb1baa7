// What an exact bill costs: it is made at every listing of a ledger.
#include <benchmark/benchmark.h>

#include <vector>

#include "common/money.hpp"

namespace {

void split(benchmark::State& state) {
  std::vector<std::int64_t> weights;
  for (std::int64_t i = 1; i <= state.range(0); ++i) weights.push_back(i * 1'000'003);
  for (auto _ : state) benchmark::DoNotOptimize(regatta::split_exactly(regatta::NanoUsd{987'654'321'987}, weights));
}
BENCHMARK(split)->Arg(12)->Arg(1200);

}  // namespace
