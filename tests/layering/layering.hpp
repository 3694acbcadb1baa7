#pragma once
// Who may include whom: common <- {cluster, jobs} <- {worker, coordinator}. Torch and MPI stay in worker/ and in the
// torch half of jobs/.

#include <filesystem>
#include <string>
#include <vector>

namespace regatta::test {

struct LayeringReport {
  int files = 0, includes = 0;          ///< looked at, so that a test can tell that it saw the tree
  std::vector<std::string> violations;  ///< "jobs/plan.cpp:3: includes cluster/bill.hpp; jobs may include common, jobs"
};

/// Reads every source below `root`/{common,jobs,cluster,worker,coordinator}.
LayeringReport check_layering(const std::filesystem::path& root);

}  // namespace regatta::test
