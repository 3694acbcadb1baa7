// MPI_Iallreduce, which D-05 does without: there a thread stands in MPI_Allreduce and the watchdog ends the process. A
// device's thread must come back instead when its owner gives up. Open MPI sums in an order that is the same on all
// ranks (coll/libnbc: a tree or a ring, whose result is passed on), so that all have the same bits.

#include "worker/mpi_sum.hpp"

#include <limits>

#include "common/error.hpp"
#include "worker/mpi.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

struct MpiSum::Pending {
  MPI_Comm group;
  MPI_Request request = MPI_REQUEST_NULL;
  at::Tensor values;  // of the last sum
};

MpiSum::MpiSum(RankContext& group) : pending_(new Pending{.group = communicator(group)}) {}

MpiSum::~MpiSum() {
  if (pending_->request != MPI_REQUEST_NULL) (void)pending_.release();
}

bool MpiSum::serves_threads() {
  int provided = MPI_THREAD_SINGLE;
  return MPI_Query_thread(&provided) == MPI_SUCCESS && provided >= MPI_THREAD_MULTIPLE;
}

void MpiSum::begin(const at::Tensor& values) {
  Pending& p = *pending_;
  REGATTA_ENSURE(p.request == MPI_REQUEST_NULL, "one sum after the other");
  REGATTA_ENSURE(values.scalar_type() == at::kDouble || values.scalar_type() == at::kFloat, "float64 or float32");
  REGATTA_ENSURE(values.is_contiguous() && !values.is_cuda(), "contiguous values on the host");
  REGATTA_ENSURE(values.numel() <= std::numeric_limits<int>::max(), "MPI 3 counts in int: lower the bucket limit");
  p.values = values;
  check_mpi(MPI_Iallreduce(MPI_IN_PLACE, values.mutable_data_ptr(), static_cast<int>(values.numel()),
                           values.scalar_type() == at::kDouble ? MPI_DOUBLE : MPI_FLOAT, MPI_SUM, p.group, &p.request),
            "MPI_Iallreduce");
}

bool MpiSum::is_done() {
  int done = 0;
  check_mpi(MPI_Test(&pending_->request, &done, MPI_STATUS_IGNORE), "MPI_Test");
  return done != 0;
}

}  // namespace regatta
