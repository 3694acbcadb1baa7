#include "worker/failure.hpp"

#include <c10/util/Exception.h>

#include <new>
#include <vector>

namespace regatta {

namespace {

/// Torch's allocator of the CPU throws a plain c10::Error whose text alone tells; CUDA's throws c10::OutOfMemoryError,
/// and its libraries a c10::Error again.
bool is_out_of_memory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  const std::string text = error.what_without_backtrace();
  return text.find("can't allocate memory") != std::string::npos ||
         text.find("not enough memory") != std::string::npos || text.find("out of memory") != std::string::npos ||
         text.find("ALLOC_FAILED") != std::string::npos ||     // cuBLAS's status
         text.find("ALLOCATION_FAILED") != std::string::npos;  // cuDNN's
}

std::string without_memory(const std::string& what) {
  return "out of memory: " + what +
         "\n  Use fewer ranks on a host, train.micro_batch, a smaller train.batch or a smaller model.";
}

}  // namespace

std::optional<std::string> lack_of_memory() {
  try {
    throw;
  } catch (const std::bad_alloc& error) {
    return error.what();
  } catch (const c10::Error& error) {
    if (is_out_of_memory(error)) return error.what_without_backtrace();
  } catch (...) {
  }
  return {};
}

Failure current_failure() {
  if (const auto said = lack_of_memory()) return {ExitCode::kOutOfMemory, without_memory(*said)};
  try {
    throw;
  } catch (const Error& error) {
    return {error.exit_code(), error.what()};
  } catch (const c10::Error& error) {
    return {ExitCode::kFailure, std::string("torch: ") + error.what_without_backtrace()};
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
