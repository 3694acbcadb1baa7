// One mpirun of `./dev bench allreduce`: sums a buffer over all ranks through shared memory and with MPI_Allreduce,
// in turns, and prints a JSON line a size: {"bytes", "window_s", "window_copied_s", "mpi_s"}, medians over rounds of
// the slowest rank. Before each round every rank writes its buffers anew, after it the result is compared; neither is
// timed.
//
//   window         gradients lie in the rank's segment already; each rank adds up its slice in place, where all may
//                  read it
//   window_copied  from a private buffer: the others' slices into the segment, its own added up there, and the whole
//                  sum back into the private buffer
//   mpi            MPI_Allreduce in place, on private memory
//
//   mpirun -np N bench_allreduce [ROUNDS]

#include <sched.h>
#include <unistd.h>

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "worker/node_layout.hpp"
#include "worker/rank_context.hpp"
#include "worker/shared_count.hpp"
#include "worker/slice_kernels.hpp"

namespace regatta {
namespace {

constexpr std::size_t kLeast = std::size_t{64} << 10, kMost = std::size_t{64} << 20;

struct Board {
  SharedCount published, summed;
};

class Windows {
 public:
  explicit Windows(RankContext& ranks)
      : ranks_(ranks), policy_(wait_policy(ranks.local_size(), static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)))) {
    const auto count = static_cast<std::size_t>(ranks.local_size());
    boards_ = reinterpret_cast<Board*>(ranks.node_shared(count * sizeof(Board)));
    new (boards_ + ranks.local_rank()) Board;
    std::byte* const segments = ranks.node_shared(count * kMost);
    for (std::size_t r = 0; r < count; ++r) segments_.push_back(segments + r * kMost);
    ranks.node_barrier();
  }

  float* own() const { return reinterpret_cast<float*>(own_segment()); }

  /// The lines of its own slice are the rank's own already: written there, the sum moves none. Streaming it elsewhere
  /// takes twice the time on near cores (1 MiB: 40 us instead of 18), plain stores elsewhere more.
  void sum(std::int64_t count) { sum(count, own_segment()); }

  /// As above, from and to private memory.
  void sum_copied(float* values, std::int64_t count) {
    const auto* const from = reinterpret_cast<const std::byte*>(values);
    for (int r = 0; r < ranks_.local_size(); ++r) {
      const Slice slice = slice_for(r, count);
      if (r != ranks_.local_rank())
        slice_kernels()[0]->copy(own_segment() + slice.begin * 4, from + slice.begin * 4,
                                 static_cast<std::size_t>(slice.size()) * 4);
    }
    sum(count, from);
    gather(values, count);
  }

  /// The sums out of all segments.
  void gather(float* values, std::int64_t count) const {
    for (int r = 0; r < ranks_.local_size(); ++r) {
      const Slice slice = slice_for(r, count);
      std::memcpy(values + slice.begin, segments_[static_cast<std::size_t>(r)] + slice.begin * 4,
                  static_cast<std::size_t>(slice.size()) * 4);
    }
  }

 private:
  std::byte* own_segment() const { return segments_[static_cast<std::size_t>(ranks_.local_rank())]; }
  Slice slice_for(int rank, std::int64_t count) const {
    return slice_of(NodeBucket{.elements = count}, rank, ranks_.local_size());
  }

  /// `values`: this rank's, of which its own slice is read.
  void sum(std::int64_t count, const std::byte* values) {
    ++turn_;
    meet(&Board::published);
    const Slice own = slice_for(ranks_.local_rank(), count);
    std::vector<const std::byte*> from;
    for (const std::byte* segment : segments_)
      from.push_back((segment == own_segment() ? values : segment) + own.begin * 4);
    slice_kernels()[0]->sum({.count = own.size(), .gradients = from, .total = own_segment() + own.begin * 4});
    meet(&Board::summed);
  }

  void meet(SharedCount Board::*count) {
    streams_done();
    raise_to(boards_[ranks_.local_rank()].*count, turn_);
    for (int r = 0; r < ranks_.local_size(); ++r) wait_until(boards_[r].*count, turn_, policy_);
  }

  RankContext& ranks_;
  WaitPolicy policy_;
  Board* boards_;
  std::vector<std::byte*> segments_;
  std::uint32_t turn_ = 0;
};

template <class Pass>
double timed(RankContext& ranks, const Pass& pass) {
  ranks.barrier();
  const auto start = std::chrono::steady_clock::now();
  pass();
  std::array<double, 1> took{seconds(std::chrono::steady_clock::now() - start)};
  ranks.allreduce(took, Reduce::kMax);
  return took[0];
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void write_anew(float* values, std::int64_t count, int rank, int round) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = static_cast<float>((i + 3 * rank + round) % 1024);
}

void expect_sum(const float* values, std::int64_t count, int ranks, int round, const char* name) {
  for (std::int64_t i = 0; i < count; ++i) {
    float expected = 0;
    for (int rank = 0; rank < ranks; ++rank) expected += static_cast<float>((i + 3 * rank + round) % 1024);
    if (values[i] != expected) {
      std::fprintf(stderr, "%s: element %ld is %g, not %g\n", name, static_cast<long>(i),
                   static_cast<double>(values[i]), static_cast<double>(expected));
      std::_Exit(1);
    }
  }
}

void pin(int rank) {
  const long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(rank % cores), &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

int run(int rounds) {
  Watchdog watchdog(std::chrono::seconds(120), [](const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::_Exit(13);
  });
  const auto ranks = make_mpi_context(launcher_variables(), watchdog);
  pin(ranks->local_rank());
  Windows windows(*ranks);
  std::vector<float> own(kMost / 4);
  const int rank = ranks->rank(), size = ranks->world_size();
  for (std::size_t bytes = kLeast; bytes <= kMost; bytes *= 4) {
    const auto count = static_cast<std::int64_t>(bytes / 4);
    std::vector<double> window, copied, mpi;
    for (int round = -1; round < rounds; ++round) {  // the first one warms up
      write_anew(windows.own(), count, rank, round + 1);
      const double in_window = timed(*ranks, [&] { windows.sum(count); });
      windows.gather(own.data(), count);
      expect_sum(own.data(), count, size, round + 1, "window");
      write_anew(own.data(), count, rank, round + 1);
      const double in_copies = timed(*ranks, [&] { windows.sum_copied(own.data(), count); });
      expect_sum(own.data(), count, size, round + 1, "window with copies");
      write_anew(own.data(), count, rank, round + 1);
      const double in_mpi = timed(*ranks, [&] {
        MPI_Allreduce(MPI_IN_PLACE, own.data(), static_cast<int>(count), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
      });
      expect_sum(own.data(), count, size, round + 1, "MPI_Allreduce");
      if (round < 0) continue;
      window.push_back(in_window);
      copied.push_back(in_copies);
      mpi.push_back(in_mpi);
    }
    if (rank == 0)
      std::printf("{\"bytes\": %zu, \"window_s\": %.9f, \"window_copied_s\": %.9f, \"mpi_s\": %.9f}\n", bytes,
                  median(window), median(copied), median(mpi));
  }
  return 0;
}

}  // namespace
}  // namespace regatta

int main(int argc, char** argv) {
  return regatta::run(argc > 1 ? std::atoi(argv[1]) : 21);
}
