#pragma once
// A bed with Slurm, and the small jobs that its tests run.

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "cluster/slurm_words.hpp"
#include "common/files.hpp"
#include "coordinator/ledger.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {

inline constexpr double kUsdPerNodeSecond = 0.001;  // 3.6 an hour

class SlurmTest : public BedTest {
 protected:
  explicit SlurmTest(std::map<std::string, std::string> environment = {})
      : BedTest({.slurm = true, .environment = std::move(environment)}) {}

  /// One configuration; of four ranks it has one on each of four nodes.
  std::filesystem::path job(const std::string& stop = "epochs: 2", const std::string& more = "", int ranks = 4) const {
    return write("job.yaml",
                 "name: tiny\n"
                 "model: {kind: mlp, hidden: [32]}\n"
                 "data: {format: synthetic, samples: 640, shape: [1, 28, 28], classes: 10}\n"
                 "train: {batch: 64, optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}" +
                     more + "}\nstop: {" + stop +
                     "}\nconfigurations:\n  - {name: row, pool: batch, ranks: " + std::to_string(ranks) + "}\n");
  }
  /// `more` begins with ", ".
  std::filesystem::path cluster(const std::string& more = "") const {
    return write("cluster.yaml", "pools:\n  batch: {launcher: slurm, nodes: 4, cores_per_node: 1" + more +
                                     ", price: {usd_per_node_hour: 3.6}}\n");
  }

  /// `regatta run` on the head, in the background.
  std::unique_ptr<Process> start(std::vector<std::string> arguments) const {
    return std::make_unique<Process>(
        regatta_command(std::move(arguments)),
        ProcessOptions{.environment = {{"NO_COLOR", "1"}, {"REGATTA_SLOTS", home().string() + ".slots"}}});
  }
  std::unique_ptr<Process> start_run(const std::filesystem::path& job_file, const std::string& pool = "") const {
    return start({"run", job_file, "--cluster", cluster(pool)});
  }
  /// To every regatta (not the workers) on the head.
  void signal_regatta(const std::string& name) { bed().run_on("n0", {"pkill", "-" + name, "-x", "regatta"}); }
  /// Its ranks have trained an epoch.
  bool past_epoch_one(Millis deadline = std::chrono::seconds(30)) const {
    return wait_until([&] { return journal_text().find("\"type\":\"epoch\"") != std::string::npos; }, deadline);
  }
  std::string journal_text() const {
    std::error_code missing;
    for (const auto& run : std::filesystem::directory_iterator(home() / "runs", missing)) {
      std::ifstream file(run.path() / "attempt-1" / "journal.jsonl");
      std::ostringstream text;
      text << file.rdbuf();
      if (!text.str().empty()) return text.str();
    }
    return {};
  }

  std::string slurm(const std::vector<std::string>& argv) {
    const auto result = bed().run_on("n0", argv);
    EXPECT_EQ(result.exit_code, 0) << result.text();
    return result.out;
  }
  std::optional<SlurmView> job_view(const std::string& id) {
    return parse_scontrol_job(slurm({"env", "TZ=UTC0", "scontrol", "show", "job", "-o", id}));
  }
  /// The number of the only job in the queue; empty: there is none yet.
  std::string queued_job() {
    const auto jobs = parse_squeue(slurm({"squeue", "-h", "-o", "%i|%T|%j"}));
    return jobs.empty() ? "" : jobs.front().id;
  }

  RunState only_run() const {
    const State all = state();
    EXPECT_EQ(all.runs.size(), 1U);
    return all.runs.empty() ? RunState{} : all.runs.begin()->second;
  }
  static double usd(const RunState& run) { return run.bill ? static_cast<double>(run.bill->total.nano) / 1e9 : -1; }

  void expect_nothing_left(const std::vector<std::string>& hosts = {"n0", "n1", "n2", "n3", "n4"}) {
    EXPECT_EQ(slurm({"squeue", "-h"}), "");
    EXPECT_EQ(bed().strays(hosts), "");
  }
};

}  // namespace regatta::test
