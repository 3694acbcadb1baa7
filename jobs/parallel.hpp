#pragma once
// One loop in as many threads as this process may use cores.

#include <cstdint>
#include <functional>

namespace regatta {

/// Works on items begin to end; called again and again in one thread, in ascending order.
using PieceOfWork = std::function<void(std::int64_t begin, std::int64_t end)>;

/// Covers [0, count) by pieces. `make_worker` is called in each thread, for what a thread keeps to itself. Returns when
/// all have ended; then throws what the piece with the lowest number threw: no piece below it was left out.
void in_parallel(std::int64_t count, int threads, const std::function<PieceOfWork()>& make_worker);

}  // namespace regatta
