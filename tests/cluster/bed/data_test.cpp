// Data copied to nodes that have disks of their own, and nodes that cannot read them.
#include <gmock/gmock.h>

#include "common/files.hpp"
#include "jobs/staging.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kDataCluster =
    "pools:\n  hosts: {launcher: ssh, nodes: 2, cores_per_node: 1, hosts: [n1, n2], ssh_config: ssh/config, "
    "price: {usd_per_node_hour: 0.1}}\n";

std::string staged_job(const std::string& stage, const std::string& name) {
  return "name: " + name + "\nmodel: {kind: mlp, hidden: [16]}\ndata: {format: idx, path: data, stage: " + stage +
         "}\ntrain: {batch: 1000}\nstop: {epochs: 1}\nconfigurations: [{name: two-hosts, pool: hosts, ranks: 2}]\n";
}

class NodeData : public BedTest {
 protected:
  NodeData() : BedTest({.hosts = 2}) {}

  ProcessResult run_job(const std::string& stage) {
    fs::copy(fs::path(REGATTA_SOURCE_DIR) / "jobs/examples/data/mnist", bed().folder() / "data",
             fs::copy_options::skip_existing | fs::copy_options::recursive);
    const auto job = write("job.yaml", staged_job(stage, "run" + std::to_string(++runs_)));
    return regatta({"run", job, "--cluster", write("cluster.yaml", kDataCluster)});
  }
  RunState latest() const { return state().runs.rbegin()->second; }

 private:
  int runs_ = 0;
};

TEST_F(NodeData, IsCopiedOnceToEachNodeThatCanReadIt) {
  ASSERT_EQ(run_job("none").exit_code, 0);  // the data are there now
  bed().act("hide", "n2", {bed().folder() / "data"});
  for (const std::string stage : {"none", "node-local"}) {
    const auto refused = run_job(stage);
    EXPECT_EQ(refused.exit_code, 1) << refused.text();
    EXPECT_THAT(refused.text(), AllOf(HasSubstr("host n2: it cannot read the data"), HasSubstr("images")));
    EXPECT_TRUE(latest().attempts.empty()) << "before any rank started";
  }
  ASSERT_EQ(bed().run_on("n2", {"umount", bed().folder() / "data"}).exit_code, 0);

  const auto copied = run_job("node-local");
  ASSERT_EQ(copied.exit_code, 0) << copied.text();
  Json staged = latest().attempts.at(0).start->staged;
  const std::int64_t bytes = 1'616'508 + 4'517 + 9'719'438 + 28'857;
  EXPECT_EQ(staged.at("bytes"), bytes);
  EXPECT_EQ(staged.at("nodes"), 2);
  EXPECT_EQ(staged.at("copied_bytes"), 2 * bytes);
  EXPECT_THAT(regatta({"show", latest().id.value}).out, HasSubstr("staged         11.4 MB a node in /tmp/"));
  for (const char* host : {"n1", "n2"})
    EXPECT_THAT(bed().run_on(host, {"sh", "-c", "ls /tmp/regatta-stage-*/*/"}).out,
                AllOf(HasSubstr("mnist-train-images"), Not(HasSubstr(".part"))));

  ASSERT_EQ(run_job("node-local").exit_code, 0);
  staged = latest().attempts.at(0).start->staged;
  EXPECT_EQ(staged.at("copied_bytes"), 0) << staged.dump();
  EXPECT_EQ(bed().strays({"n0", "n1", "n2"}), "");
}

}  // namespace
}  // namespace regatta::test
