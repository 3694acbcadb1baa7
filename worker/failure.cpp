#include "worker/failure.hpp"

#include <c10/util/Exception.h>

#include <new>
#include <optional>
#include <vector>

namespace regatta {

namespace {

/// Torch's allocator throws a plain c10::Error whose text alone tells.
bool is_out_of_memory(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.find("can't allocate memory") != std::string::npos ||
         text.find("not enough memory") != std::string::npos || text.find("out of memory") != std::string::npos;
}

std::string without_memory(const std::string& what) {
  return "out of memory: " + what + "\n  Use fewer ranks on a host, a smaller train.batch or a smaller model.";
}

}  // namespace

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.exit_code(), error.what()};
  } catch (const std::bad_alloc& error) {
    return {ExitCode::kOutOfMemory, without_memory(error.what())};
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    if (is_out_of_memory(error)) return {ExitCode::kOutOfMemory, without_memory(text)};
    return {ExitCode::kFailure, "torch: " + text};
  } catch (const std::exception& error) {
    return {ExitCode::kFailure, error.what()};
  }
}

void agree(RankContext& ranks, const std::function<void()>& work) {
  std::optional<Failure> failure;
  try {
    work();
  } catch (...) {
    failure = current_failure();
  }
  double worst = failure ? static_cast<double>(failure->code) : 0;
  ranks.allreduce({&worst, 1}, Reduce::kMax);
  if (worst == 0) return;

  const std::string where = "rank " + std::to_string(ranks.rank()) + " on " + host_name() + ": ";
  const bool for_all = ranks.rank() == 0;  // what rank 0 does for all is nobody's own trouble
  std::string all;
  for (const auto& text : ranks.gather(failure ? (for_all ? "" : where) + failure->message : ""))
    if (!text.empty()) all += (all.empty() ? "" : "\n") + text;
  throw AgreedError({static_cast<ExitCode>(static_cast<int>(worst)), ranks.broadcast(std::move(all))});
}

}  // namespace regatta
