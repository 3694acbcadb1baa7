#include "worker/cuda/cuda_error.hpp"

#include <fmt/format.h>

#include <string_view>

#include "common/error.hpp"

namespace regatta {

void check_cuda(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  throw CommError(fmt::format("CUDA: {}: {} ({})", what, cudaGetErrorString(code), cudaGetErrorName(code)));
}

void check_nccl(ncclResult_t code, ncclComm_t communicator, const char* what) {
  if (code == ncclSuccess || code == ncclInProgress) return;
  const char* const noted = ncclGetLastError(communicator);
  const std::string_view last = noted == nullptr ? "" : noted;
  throw CommError(fmt::format("NCCL: {}: {}{}{}\n  NCCL_DEBUG=INFO makes NCCL say more.", what,
                              ncclGetErrorString(code), last.empty() ? "" : ": ", last));
}

}  // namespace regatta
