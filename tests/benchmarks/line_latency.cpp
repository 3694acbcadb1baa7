// Prints how long a cache line takes from one core to another, in nanoseconds: half a round trip, the median of 200
// series. It says how far apart the two cores lie, and with it how much the exchange between them can cost.
//
//   bench_line_latency CORE CORE

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

constexpr int kSeries = 200, kTrips = 200;

void pin(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (::sched_setaffinity(0, sizeof cores, &cores) != 0) {
    std::perror("sched_setaffinity");
    std::exit(2);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: bench_line_latency CORE CORE\n", stderr);
    return 2;
  }
  alignas(64) static std::atomic<int> ball{0};
  constexpr int kAll = kSeries * kTrips;
  std::thread other([core = std::atoi(argv[2])] {
    pin(core);
    for (int trip = 0; trip < kAll; ++trip) {
      while (ball.load(std::memory_order_acquire) != 2 * trip + 1) {
      }
      ball.store(2 * trip + 2, std::memory_order_release);
    }
  });
  pin(std::atoi(argv[1]));
  std::vector<double> series;
  for (int s = 0; s < kSeries; ++s) {
    const auto start = std::chrono::steady_clock::now();
    for (int trip = s * kTrips; trip < (s + 1) * kTrips; ++trip) {
      ball.store(2 * trip + 1, std::memory_order_release);
      while (ball.load(std::memory_order_acquire) != 2 * trip + 2) {
      }
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    series.push_back(took.count() / kTrips / 2);
  }
  other.join();
  std::nth_element(series.begin(), series.begin() + kSeries / 2, series.end());
  std::printf("%.1f\n", series[kSeries / 2]);
}
