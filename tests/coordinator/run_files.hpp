#pragma once
// A run's folder as a worker leaves it.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/records.hpp"
#include "jobs/plan.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {

/// A small synthetic job on pool `here` with two cores; configuration `two-cores` has two ranks.
Plan sample_plan(const std::string& run, int ranks = 1);

/// RUN_DIR under a temporary folder.
class RunFiles {
 public:
  explicit RunFiles(Plan plan) : plan_(std::move(plan)) {}

  std::filesystem::path run_dir() const { return folder_.path() / "run"; }
  const Plan& plan() const { return plan_; }
  /// attempt-K/plan.json, and every record as a line: its `seq` is its place, its time stands beside it.
  void write_attempt(int attempt, const std::vector<std::pair<RecordBody, Timestamp>>& lines,
                     const std::string& torn = "");
  void write_result(int attempt = 1);

 private:
  TemporaryFolder folder_;
  Plan plan_;
};

}  // namespace regatta::test
