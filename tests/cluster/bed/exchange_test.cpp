// Gradients between real hosts: as many as there are, with as many ranks as each has, the result is one rank's.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/files.hpp"
#include "common/records.hpp"
#include "coordinator/lane_cache.hpp"
#include "coordinator/ledger.hpp"
#include "coordinator/state.hpp"
#include "jobs/plan_files.hpp"
#include "jobs/safetensors.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::vector<double> weights_of(const fs::path& run) {
  const SafetensorsFile file = read_safetensors(run / "weights.safetensors");
  std::vector<double> values;
  for (const TensorView& tensor : file.tensors) {
    if (tensor.dtype != "F64") continue;
    const std::size_t before = values.size();
    values.resize(before + tensor.bytes.size() / sizeof(double));
    std::memcpy(values.data() + before, tensor.bytes.data(), tensor.bytes.size());
  }
  return values;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size() || b.empty()) return HUGE_VAL;
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

class ExchangeOnHosts : public BedTest {
 protected:
  /// `text`: what stands beside the batch in `train`, two spaces before each line. The last batch has one sample, so
  /// that all hosts but one have nothing.
  fs::path job(const std::string& text, int ranks) const {
    return write("job-" + std::to_string(ranks) + ".yaml",
                 "name: exchange\nmodel: {kind: resnet18, channels: [4, 4, 8, 8]}\n"
                 "data: {format: synthetic, samples: 65, shape: [3, 8, 8], classes: 4}\n"
                 "train:\n  batch: 32\n  precision: fp64\n  clip_norm: 1\n  accumulate: 2\n" +
                     text +
                     "  optimizer: {kind: adamw, lr: 0.002}\nstop: {epochs: 2}\n"
                     "configurations: [{name: here, ranks: " +
                     std::to_string(ranks) + "}]\n");
  }

  /// By hand: a user's own layout. `hosts` as mpirun takes them; empty: one rank, without it.
  std::vector<std::string> command(const std::string& hosts, const fs::path& job_file, const fs::path& run) {
    std::vector<std::string> argv;
    if (!hosts.empty())
      argv = {"mpirun",
              "--host",
              hosts,
              "--bind-to",
              "none",
              "--mca",
              "plm_rsh_agent",
              "ssh -F " + bed().ssh_config().string(),
              "--mca",
              "mpi_yield_when_idle",
              "1"};
    argv.insert(argv.end(),
                {binary("regatta-worker"), job_file, "--run-dir", run, "--home", home().string(), "--quiet"});
    return argv;
  }

  /// The folder of a run that must succeed.
  fs::path train(const std::string& hosts, const fs::path& job_file) {
    const fs::path run = bed().folder() / ("run-" + std::to_string(runs_++));
    const ProcessResult result = bed().run_on("n0", command(hosts, job_file, run));
    EXPECT_EQ(result.exit_code, 0) << hosts << ": " << result.text();
    return run;
  }

  static record::Start start_of(const fs::path& run) {
    for (const JournalLine& line : parse_journal(read_file(run / "attempt-1" / "journal.jsonl")))
      if (const auto* start = std::get_if<record::Start>(&line.body)) return *start;
    return {};
  }

 private:
  int runs_ = 0;
};

TEST_F(ExchangeOnHosts, TrainsWhatOneRankTrains) {
  const auto one = weights_of(train("", job("", 1)));
  for (const auto& [ranks, hosts] : std::vector<std::pair<int, std::string>>{
           {2, "n1,n2"}, {4, "n1,n2,n3,n4"}, {5, "n1:2,n2,n3,n4"}, {4, "n1:2,n2:2"}}) {
    const fs::path run = train(hosts, job("", ranks));
    const record::Start start = start_of(run);
    EXPECT_EQ(start.exchanger, "cluster") << hosts;
    EXPECT_FALSE(start.lanes.is_null()) << hosts;
    const double difference = distance(weights_of(run), one);
    EXPECT_LE(difference, 1e-10) << hosts;
    std::printf("%s: ||w - w1|| / ||w1|| = %.2g, lanes %s\n", hosts.c_str(), difference, start.lanes.dump().c_str());
  }
  EXPECT_EQ(bed().strays({"n0", "n1", "n2", "n3", "n4"}), "");
}

TEST_F(ExchangeOnHosts, APlanWithTheChoiceMeasuresNothingAndGivesTheSameBits) {
  const fs::path first = train("n1,n2,n3,n4", job("  exchange: {every: 2, outer: {lr: 0.7, momentum: 0.9}}\n", 4));
  Json plan = parse_json(read_file(first / "attempt-1" / "plan.json"), "plan.json");
  const record::Start start = start_of(first);
  plan["lanes"] = start.lanes;
  plan["kernels"] = start.kernels;
  const fs::path again = bed().folder() / "again";
  auto argv = command("n1,n2,n3,n4", write("plan.json", plan.dump()), again);
  argv.insert(std::find(argv.begin(), argv.end(), (bed().folder() / "plan.json").string()), "--plan");
  const ProcessResult result = bed().run_on("n0", argv);
  ASSERT_EQ(result.exit_code, 0) << result.text();
  EXPECT_EQ(weights_of(again), weights_of(first));
  EXPECT_EQ(start_of(again).lanes, start.lanes);
}

/// Runs of the coordinator, whose pools have hosts.
class LanesOfRuns : public ExchangeOnHosts {
 protected:
  /// Of the run that is made, which must succeed.
  RunState run_on(const std::string& hosts, const std::vector<std::string>& more = {}) {
    const auto job_file = write("job.yaml",
                                "name: lanes\nmodel: {kind: mlp, hidden: [64]}\n"
                                "data: {format: synthetic, samples: 96, shape: [3, 8, 8], classes: 4}\n"
                                "train: {batch: 32, precision: fp64}\nstop: {epochs: 1}\n"
                                "configurations: [{name: three, pool: hosts, ranks: 3}]\n");
    const auto cluster =
        write("cluster.yaml", "pools:\n  hosts: {launcher: ssh, nodes: 3, cores_per_node: 1, hosts: [" + hosts +
                                  "], ssh_config: ssh/config, price: {usd_per_node_hour: 0.1}}\n");
    std::vector<std::string> arguments{"run", job_file, "--cluster", cluster, "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult ended = regatta(arguments);
    EXPECT_EQ(ended.exit_code, 0) << ended.text();
    State state;
    for (const auto& event : Ledger(home() / "ledger.db").events()) apply(state, event);
    return state.runs.empty() ? RunState{} : state.runs.rbegin()->second;  // ids sort by time
  }

  static std::optional<LaneChoice> planned(const RunState& run) {
    return read_plan(fs::path(run.run_dir) / "attempt-1" / "plan.json").lanes;
  }

  std::string shown(const RunState& run) { return regatta({"show", run.id.value}).out; }
};

TEST_F(LanesOfRuns, AreMeasuredOnceForTheSameHostsAndThenStandInThePlan) {
  const RunState first = run_on("n1, n2, n3");
  EXPECT_FALSE(planned(first));
  EXPECT_THAT(shown(first), HasSubstr("; measured at the start"));
  const RunState second = run_on("n1, n2, n3");
  EXPECT_EQ(planned(second), measured_lanes(first));
  ASSERT_TRUE(planned(second));
  EXPECT_THAT(shown(second), HasSubstr("; taken from run " + first.id.value));
  EXPECT_EQ(weights_of(second.run_dir), weights_of(first.run_dir)) << "the same sums, to the bit";

  const RunState elsewhere = run_on("n2, n3, n4");
  EXPECT_FALSE(planned(elsewhere));
  EXPECT_THAT(shown(elsewhere), HasSubstr("; measured at the start"));
  EXPECT_FALSE(planned(run_on("n1, n2, n3", {"--retune"})));
}

}  // namespace
}  // namespace regatta::test
