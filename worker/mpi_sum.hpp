#pragma once
// A sum over ranks for whoever must be able to give up: begun, then asked for, and never stood in.

#include <ATen/core/Tensor.h>

#include <memory>

namespace regatta {

class RankContext;

/// One sum after the other. One thread at a time; another one than the trainer's where `serves_threads`.
class MpiSum {
 public:
  /// `group` is of make_mpi_context, or a group of its, and outlives this. It serves nothing else from now on: its
  /// ranks call the same sums in the same order, and nothing between.
  explicit MpiSum(RankContext& group);
  /// Memory of a sum that is not done stays for ever, because MPI may still write to it; the group is then of no use.
  ~MpiSum();
  MpiSum(const MpiSum&) = delete;
  MpiSum& operator=(const MpiSum&) = delete;

  /// Whether MPI was started so that threads beside the trainer's may call it (MpiCallers::kDevices), and can.
  static bool serves_threads();

  /// Begins to sum `values` (float64 or float32, contiguous, in host memory) over the group's ranks, in place; until
  /// `is_done` they hold anything. The same bits on every rank. Throws CommError, as `is_done`.
  void begin(const at::Tensor& values);
  bool is_done();

 private:
  struct Pending;
  std::unique_ptr<Pending> pending_;
};

}  // namespace regatta
