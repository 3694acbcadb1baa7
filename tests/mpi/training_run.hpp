#pragma once
// One training by real workers under mpirun, and what it left behind.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/records.hpp"
#include "tests/mpi/plan_for.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {

struct RankRow {
  std::int64_t samples = 0;
  double wall_s = 0;
  PhaseSeconds seconds;
};

/// (epoch, batch) -> the samples delivered, by rank.
using Delivered = std::map<std::pair<int, int>, std::vector<std::vector<std::int64_t>>>;

struct TrainingRun {
  std::vector<double> weights;  ///< all tensors in file order, as double
  Delivered delivered;
  std::string exchanger;
  std::vector<record::Epoch> epochs;
  std::vector<record::Shares> shares;
  std::vector<RankRow> rows;  ///< of the last epoch, by rank
};

/// Trains the plan with the wrapped worker, under mpirun when it has more than one rank. `plan_json` is what the
/// workers get. Throws std::runtime_error with the output when it does not end in order within `deadline`.
TrainingRun train(const Json& plan_json, const std::map<std::string, std::string>& environment = {},
                  Millis deadline = std::chrono::minutes(4));

/// The samples of each global batch, sorted: a multiset that does not know ranks.
std::map<std::pair<int, int>, std::vector<std::int64_t>> multisets(const Delivered& delivered);

/// ||a - b|| / ||b||; infinite when the sizes differ.
double relative_difference(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace regatta::test
