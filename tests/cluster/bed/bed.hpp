#pragma once
// Several hosts, and Slurm on them, for tests: what bed.sh makes, as an object that takes it down again.

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/state.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {

struct BedOptions {
  int hosts = 4;  ///< n1, n2, ...; beside the head n0
  bool slurm = false;
  std::map<std::string, std::string> environment = {};  ///< of bed.sh: SLURMD_TIMEOUT, KILL_WAIT, GRACE_TIME, seconds
};

/// Why there can be no bed here; empty: there can. With REGATTA_BED=required (CI) every test that skips for it fails.
std::string no_bed_here();

/// Up from construction to destruction, and down soon after this process is gone, however it ends.
class Bed {
 public:
  /// Throws std::runtime_error with bed.sh's words.
  explicit Bed(const BedOptions& options = {});
  ~Bed();

  /// Of the bed; every host sees it.
  const std::filesystem::path& folder() const { return folder_.path(); }
  std::filesystem::path ssh_config() const { return folder() / "ssh" / "config"; }

  /// The argv that runs `argv` on a host.
  std::vector<std::string> on(const std::string& host, const std::vector<std::string>& argv) const;
  ProcessResult run_on(const std::string& host, const std::vector<std::string>& argv,
                       Millis deadline = std::chrono::seconds(120)) const;

  /// A verb of bed.sh: act("cut", "n2"), act("rate", "n2", {"1gbit"}). Throws when it fails.
  void act(const std::string& verb, const std::string& host, const std::vector<std::string>& more = {}) const;
  void boot(const std::string& host);

  /// What is left on a host of what tests started: processes and shared memory, a line each.
  std::string strays(const std::string& host) const;
  /// Of all hosts that are up, each line with its host; after waiting for it to be empty.
  std::string strays(const std::vector<std::string>& hosts, Millis deadline = std::chrono::seconds(3)) const;

 private:
  std::vector<std::string> script(const std::string& verb, const std::vector<std::string>& more = {}) const;

  TemporaryFolder folder_;
  std::unique_ptr<Process> process_;
  std::vector<std::unique_ptr<Process>> booted_;
};

/// Skips where there can be no bed; else each test has one of its own.
class BedTest : public testing::Test {
 protected:
  explicit BedTest(BedOptions options = {}) : options_(std::move(options)) {}
  void SetUp() override;
  Bed& bed() { return *bed_; }

  static std::filesystem::path binary(const std::string& name);
  /// regatta ARGUMENTS --home HOME, on the head.
  std::vector<std::string> regatta_command(std::vector<std::string> arguments) const;
  ProcessResult regatta(std::vector<std::string> arguments, Millis deadline = std::chrono::seconds(120)) const;
  std::filesystem::path home() const { return bed_->folder() / "home"; }
  /// A replay of the ledger there.
  State state() const;
  /// Writes a file that all hosts see.
  std::filesystem::path write(const std::string& name, const std::string& text) const;

 private:
  BedOptions options_;
  std::unique_ptr<Bed> bed_;
};

}  // namespace regatta::test
