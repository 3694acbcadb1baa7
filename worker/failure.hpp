#pragma once
// What went wrong, as a code and a message; and how all ranks come to know of it.

#include <functional>
#include <optional>
#include <string>

#include "common/error.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

struct Failure {
  ExitCode code = ExitCode::kFailure;
  std::string message;
};

/// The exception being handled, translated: our errors keep their code, a lack of memory (C++'s or torch's) becomes
/// kOutOfMemory. Call inside a catch block.
Failure current_failure();

/// What its allocator said, when the exception being handled is a lack of memory. Call inside a catch block.
std::optional<std::string> lack_of_memory();

/// An error that every rank knows: rank 0 alone says it, and all leave in order with the same code.
struct AgreedError : Error {
  explicit AgreedError(const Failure& failure) : Error(failure.code, failure.message) {}
};

/// Collective. Runs `work`, which must not be. When it threw on any rank, throws the same AgreedError on every rank.
void agree(RankContext& ranks, const std::function<void()>& work);

}  // namespace regatta
