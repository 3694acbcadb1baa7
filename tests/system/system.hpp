#pragma once
// A home of its own, the real binaries, and what they left behind.

#include <gmock/gmock.h>

#include <filesystem>
#include <string>
#include <vector>

#include "coordinator/state.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {

/// Small enough to train in a blink: an mlp on 640 synthetic images, ten steps an epoch. `rows` is the list of
/// configurations, one YAML flow map each; `epochs` is the job's own stop.
std::string tiny_job(const std::vector<std::string>& rows, int epochs = 2, const std::string& name = "tiny");
/// The same with thousands of epochs: it runs until somebody ends it.
std::string endless_job(const std::vector<std::string>& rows, const std::string& name = "endless");

extern const char* const kOneCore;   ///< {name: one-core, pool: here, ranks: 1}
extern const char* const kTwoCores;  ///< {name: two-cores, pool: here, ranks: 2}

class SystemTest : public testing::Test {
 protected:
  ~SystemTest() override;

  static std::filesystem::path binary(const std::string& name);
  std::filesystem::path home() const { return folder_.path() / "home"; }
  std::vector<std::string> command(std::vector<std::string> arguments) const;  ///< regatta ... --home HOME
  ProcessResult regatta(std::vector<std::string> arguments, Millis deadline = std::chrono::seconds(120)) const;
  /// regatta ARGUMENTS --json, parsed; fails the test when it does not exit 0.
  Json regatta_json(std::vector<std::string> arguments) const;

  /// A replay of the ledger; checks that a second one is equal.
  State state() const;
  /// Runs in the order of creation.
  std::vector<RunState> runs() const;
  /// Waits for the first run whose journal has a line of this type, and returns its folder.
  std::filesystem::path wait_for_journal(const std::string& type, Millis deadline = std::chrono::seconds(60)) const;

  /// Processes of this test's home that are no coordinator: launchers and ranks.
  std::vector<pid_t> ranks() const;

  TemporaryFolder folder_;
  /// Slots of its own: tests do not wait for what else runs on the machine.
  ProcessOptions options_{.environment = {{"NO_COLOR", "1"}, {"REGATTA_SLOTS", (folder_.path() / "slots").string()}}};
};

/// Process ids in the journal's start line.
std::vector<pid_t> pids_in_journal(const std::filesystem::path& run_dir);

}  // namespace regatta::test
