// `regatta run --push`: an installed tree on its way to hosts that see neither it nor the clone.
#include <gmock/gmock.h>

#include "common/files.hpp"
#include "coordinator/ledger.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kPushedJob = R"(name: tiny
model: {kind: mlp, hidden: [32]}
data: {format: synthetic, samples: 640, shape: [1, 28, 28], classes: 10}
train: {batch: 64, optimizer: {kind: sgd, lr: 0.05}}
stop: {epochs: 1}
configurations:
  - {name: two-hosts, pool: hosts, ranks: 2}
)";
constexpr const char* kPushCluster =
    "pools:\n  hosts: {launcher: ssh, nodes: 2, cores_per_node: 1, hosts: [n1, n2], ssh_config: ssh/config, push_to: "
    "/tmp/regatta, price: {usd_per_node_hour: 0.1}}\n";

class Push : public BedTest {
 protected:
  Push() : BedTest({.hosts = 2}) {}

  /// As `./dev install` makes it.
  fs::path install() const {
    fs::path tree = bed_folder() / "tree";
    const auto made = run({"cmake", "--install", REGATTA_BUILD_DIR, "--prefix", tree, "--strip"});
    EXPECT_EQ(made.exit_code, 0) << made.text();
    const auto manifest =
        run({"sh", "-c", "find . -type f ! -name MANIFEST -print0 | sort -z | xargs -0 sha256sum >MANIFEST"},
            {.folder = tree});
    EXPECT_EQ(manifest.exit_code, 0) << manifest.text();
    return tree;
  }
  fs::path bed_folder() const { return home().parent_path(); }

  ProcessResult push_from(const fs::path& program) {
    const auto job = write("job.yaml", kPushedJob), cluster = write("cluster.yaml", kPushCluster);
    return run(bed().on("n0", {program, "run", job, "--cluster", cluster, "--push", "--home", home()}),
               {.environment = {{"NO_COLOR", "1"}, {"REGATTA_SLOTS", bed_folder() / "slots"}}},
               std::chrono::seconds(120));
  }
};

TEST_F(Push, TheTreeRunsWhereNeitherItNorTheCloneIs) {
  const auto tree = install();
  for (const char* host : {"n1", "n2"})
    for (const auto& folder :
         {fs::path(REGATTA_TORCH_SITE), fs::path(REGATTA_BUILD_DIR), fs::path(REGATTA_SOURCE_DIR), tree})
      bed().act("hide", host, {folder});
  ASSERT_NE(bed().run_on("n1", {tree / "bin/regatta-worker", "--version"}).exit_code, 0) << "the tree is still there";

  const auto first = push_from(tree / "bin/regatta");
  ASSERT_EQ(first.exit_code, 0) << first.text();
  EXPECT_THAT(first.err, AllOf(HasSubstr("--push: copied "), HasSubstr(" on n1, n2 in ")));
  State state;
  for (const auto& event : Ledger(home() / "ledger.db").events()) apply(state, event);
  std::vector<std::string> hosts;
  for (const auto& place : state.runs.begin()->second.attempts.at(0).start->ranks) hosts.push_back(place.host);
  EXPECT_THAT(hosts, ElementsAre("n1", "n2"));

  const auto linked = bed().run_on("n1", {"sh", "-c", "ldd /tmp/regatta/trees/*/bin/regatta-worker"});
  EXPECT_THAT(linked.out,
              AllOf(HasSubstr("/tmp/regatta/trees/"), Not(HasSubstr("not found")), Not(HasSubstr(".deps"))));
  EXPECT_THAT(bed().run_on("n1", {"ls", "/tmp/regatta/trees"}).out, Not(HasSubstr(".new."))) << "half a tree is left";

  const auto second = push_from(tree / "bin/regatta");
  EXPECT_EQ(second.exit_code, 0) << second.text();
  EXPECT_THAT(second.err, HasSubstr("--push: all hosts have this tree"));
}

TEST_F(Push, NeedsAnInstalledTree) {
  const auto result = push_from(binary("regatta"));
  EXPECT_EQ(result.exit_code, 2) << result.text();
  EXPECT_THAT(result.err, AllOf(HasSubstr("belongs to no installed tree"), HasSubstr("./dev install DIR")));
}

TEST_F(Push, AFolderThatCannotBeWrittenIsSaidByHost) {
  const auto tree = install();
  bed().run_on("n2", {"sh", "-c", "mkdir /tmp/regatta && mount -t tmpfs -o size=1m tmpfs /tmp/regatta"});
  const auto result = push_from(tree / "bin/regatta");
  EXPECT_EQ(result.exit_code, 1) << result.text();
  EXPECT_THAT(result.err, AllOf(HasSubstr("host n2: the tree could not be copied to /tmp/regatta/trees/"),
                                HasSubstr("push_to"), Not(HasSubstr("host n1: "))));
  EXPECT_EQ(bed().run_on("n2", {"ls", "/tmp/regatta/trees"}).out, "") << "half a tree is left";
}

}  // namespace
}  // namespace regatta::test
