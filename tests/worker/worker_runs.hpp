#pragma once
// Workers started by hand, as processes, in a folder of their own.

#include <gmock/gmock.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/records.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {

class WorkerRuns : public testing::Test {
 protected:
  /// An mlp on 640 synthetic images in ten steps an epoch; configurations `one` and `two` by ranks, two ranks `twin`.
  std::filesystem::path job(int epochs, const std::string& train = "");
  std::filesystem::path run_dir() const { return folder_.path() / "run"; }
  static std::string worker() { return std::string(REGATTA_BIN_DIR) + "/regatta-worker"; }

  /// mpirun -np RANKS PROGRAM ARGUMENTS... --run-dir RUN_DIR
  std::vector<std::string> launch(int ranks, const std::string& program, std::vector<std::string> arguments) const;

  std::vector<JournalLine> journal() const;
  /// Waits for a line of this type.
  bool journal_has(const std::string& type) const;
  Json result() const;
  std::string rank_log(int rank) const;
  /// Processes of the ranks, from the start line.
  std::vector<pid_t> pids() const;

  TemporaryFolder folder_;
  ProcessOptions options_{.environment = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}}};
};

/// How often `text` stands in `where`.
int count_of(const std::string& text, const std::string& where);

}  // namespace regatta::test
