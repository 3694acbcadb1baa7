#pragma once
// Codes of CUDA and NCCL, translated once.

#include <cuda_runtime_api.h>
#include <nccl.h>

namespace regatta {

/// Throws CommError "CUDA: WHAT: CUDA's own text" unless `code` is cudaSuccess.
void check_cuda(cudaError_t code, const char* what);

/// Throws CommError "NCCL: WHAT: NCCL's own text, and what it noted last" unless `code` is ncclSuccess or, of a
/// communicator that does not block, ncclInProgress. `communicator` may be null.
void check_nccl(ncclResult_t code, ncclComm_t communicator, const char* what);

}  // namespace regatta
