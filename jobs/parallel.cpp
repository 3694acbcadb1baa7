#include "jobs/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

namespace regatta {

void in_parallel(std::int64_t count, int threads, const std::function<PieceOfWork()>& make_worker) {
  constexpr std::int64_t kPiece = 32;  // a millisecond of small images: threads end together, and seldom meet
  std::atomic<std::int64_t> next = 0;
  std::atomic<std::int64_t> failed = std::numeric_limits<std::int64_t>::max();  // begin of the lowest piece that threw
  std::exception_ptr error;
  std::mutex mutex;
  const auto work = [&] {
    std::int64_t begin = 0;
    try {
      const PieceOfWork piece = make_worker();
      for (begin = next.fetch_add(kPiece); begin < count && begin < failed; begin = next.fetch_add(kPiece))
        piece(begin, std::min(begin + kPiece, count));
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (begin < failed) error = std::current_exception();
      failed = std::min<std::int64_t>(failed, begin);
    }
  };
  std::vector<std::jthread> others;
  const auto most = static_cast<std::int64_t>(threads);
  for (std::int64_t i = 1; i < std::min(most, (count + kPiece - 1) / kPiece); ++i) others.emplace_back(work);
  work();
  others.clear();  // joins
  if (error) std::rethrow_exception(error);
}

}  // namespace regatta
