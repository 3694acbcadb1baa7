// `regatta run --push`: an installed tree on its way to hosts that see neither it nor the clone.
#include "common/json.hpp"
#include "tests/cluster/bed/ssh_bed.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string kPushedJob = job_of_rows("  - {name: two-hosts, pool: hosts, ranks: 2}\n");
const std::string kPushPool = ssh_pool("hosts", 2, "[n1, n2]", ", push_to: /tmp/regatta");

class Push : public TwoHosts {
 protected:
  /// As `./dev install` makes it.
  fs::path install() const {
    fs::path tree = bed_folder() / "tree";
    const auto made = run({"cmake", "--install", REGATTA_BUILD_DIR, "--prefix", tree, "--strip"});
    EXPECT_EQ(made.exit_code, 0) << made.text();
    const auto manifest = run({REGATTA_SOURCE_DIR "/cmake/manifest.sh", tree});
    EXPECT_EQ(manifest.exit_code, 0) << manifest.text();
    return tree;
  }
  fs::path bed_folder() const { return home().parent_path(); }
  /// The hosts see neither it nor the clone.
  void hide(const fs::path& tree) {
    for (const char* host : {"n1", "n2"})
      for (const auto& folder :
           {fs::path(REGATTA_TORCH_SITE), fs::path(REGATTA_BUILD_DIR), fs::path(REGATTA_SOURCE_DIR), tree})
        bed().act("hide", host, {folder});
    ASSERT_NE(bed().run_on("n1", {tree / "bin/regatta-worker", "--version"}).exit_code, 0) << "it is still there";
  }

  std::vector<std::string> push_command(const fs::path& program, const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv = run_arguments(kPushedJob, kPushPool, {"--push", "--home", home()});
    argv.insert(argv.begin(), program);
    argv.insert(argv.end(), more.begin(), more.end());
    return bed().on("n0", argv);
  }
  ProcessOptions options() const {
    return {.environment = {{"NO_COLOR", "1"}, {"REGATTA_SLOTS", bed_folder() / "slots"}}};
  }
  ProcessResult push_from(const fs::path& program, const std::vector<std::string>& more = {}) {
    return run(push_command(program, more), options(), std::chrono::seconds(120));
  }
  /// The hosts to which a dry run would copy.
  Json lacking(const fs::path& program) {
    const auto result = push_from(program, {"--dry-run", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.text();
    const Json push = parse_json(result.out, "--json").at("configurations").at(0).at("push");
    return push.is_null() ? Json::array() : push.at("hosts");
  }
  /// A script on a host, in the folder of its only tree.
  std::string in_tree(const std::string& host, const std::string& script) {
    const auto result = bed().run_on(host, {"sh", "-ec", "cd /tmp/regatta/trees/*\n" + script});
    EXPECT_EQ(result.exit_code, 0) << result.text();
    return result.out;
  }
};

TEST_F(Push, TheTreeRunsWhereNeitherItNorTheCloneIs) {
  const auto tree = install();
  hide(tree);

  const auto first = push_from(tree / "bin/regatta");
  ASSERT_EQ(first.exit_code, 0) << first.text();
  EXPECT_THAT(first.err, AllOf(HasSubstr("--push: copied "), HasSubstr(" on n1, n2 in ")));
  const State all = state();
  std::vector<std::string> hosts;
  for (const auto& place : all.runs.begin()->second.attempts.at(0).start->ranks) hosts.push_back(place.host);
  EXPECT_THAT(hosts, ElementsAre("n1", "n2"));

  const auto linked = bed().run_on("n1", {"sh", "-c", "ldd /tmp/regatta/trees/*/bin/regatta-worker"});
  EXPECT_THAT(linked.out,
              AllOf(HasSubstr("/tmp/regatta/trees/"), Not(HasSubstr("not found")), Not(HasSubstr(".deps"))));
  EXPECT_THAT(bed().run_on("n1", {"ls", "/tmp/regatta/trees"}).out, Not(HasSubstr(".new."))) << "half a tree is left";

  const auto second = push_from(tree / "bin/regatta");
  EXPECT_EQ(second.exit_code, 0) << second.text();
  EXPECT_THAT(second.err, HasSubstr("--push: all hosts have this tree"));
}

TEST_F(Push, ATreeThatWasDamagedOnAHostIsFoundAndCopiedAnew) {
  const auto tree = install();
  hide(tree);
  const fs::path program = tree / "bin/regatta";
  ASSERT_EQ(push_from(program).exit_code, 0);

  in_tree("n1", "rm lib/libc10.so");
  in_tree(
      "n2",  // same size, same time of change
      "cp -p bin/regatta-worker /tmp/before; printf x | dd of=bin/regatta-worker bs=1 seek=5000 conv=notrunc; touch "
      "-r /tmp/before bin/regatta-worker");
  const auto repaired = push_from(program);
  EXPECT_EQ(repaired.exit_code, 0) << repaired.text();
  EXPECT_THAT(repaired.err, AllOf(HasSubstr(" on n1, n2 in "), HasSubstr("the one that n1, n2 had was damaged")));
  for (const char* host : {"n1", "n2"}) {
    EXPECT_EQ(in_tree(host, "sha256sum --quiet -c MANIFEST"), "") << host;
    EXPECT_EQ(bed().run_on(host, {"sh", "-c", "ls /tmp/regatta/trees | wc -l"}).out, "1\n") << "parts are left";
  }

  in_tree("n1", "cp -p MANIFEST /tmp/before; truncate -s 0 MANIFEST");
  in_tree("n2", "touch lib/libc10.so");
  EXPECT_EQ(lacking(program), Json::array({"n1"})) << "a file's date is no damage";
  in_tree("n1", "cp -p /tmp/before MANIFEST; chmod o+w .");
  EXPECT_EQ(lacking(program), Json::array({"n1"})) << "where others may write, nothing can be said";
  in_tree("n1", "chmod o-w .; truncate -s 1000 lib/libtorch_cpu.so");
  in_tree("n2", "find lib -type l | head -n 1 | xargs rm");
  EXPECT_EQ(lacking(program), Json::array({"n1", "n2"})) << "a library is looked for by the name of its link";
}

TEST_F(Push, ATreeThatIsDamagedHereIsNotCopied) {
  const auto tree = install();
  hide(tree);
  fs::resize_file(tree / "lib/libc10.so", 1000);
  fs::remove(tree / "share/regatta/LICENSE");
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--dry-run"}}) {
    const auto result = push_from(tree / "bin/regatta", more);
    EXPECT_EQ(result.exit_code, 1) << result.text();
    EXPECT_THAT(result.err, AllOf(HasSubstr("the tree " + tree.string() + " on this host is damaged"),
                                  HasSubstr("./lib/libc10.so, ./share/regatta/LICENSE"), HasSubstr("./dev install"),
                                  Not(HasSubstr("host n1")), Not(HasSubstr("room"))));
  }
  EXPECT_NE(bed().run_on("n1", {"ls", "/tmp/regatta"}).exit_code, 0) << "something was copied";
}

TEST_F(Push, ADryRunSaysWhatWouldBeCopiedWhere) {
  const auto tree = install();
  hide(tree);
  const auto dry = push_from(tree / "bin/regatta", {"--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.text();
  EXPECT_THAT(dry.out,
              AllOf(testing::ContainsRegex("  push    [1-9][0-9]+ MB to /tmp/regatta/trees/[0-9a-f]+ on n1, n2\n"),
                    testing::ContainsRegex("  command mpirun .*/tmp/regatta/trees/[0-9a-f]+/bin/regatta-worker"),
                    Not(HasSubstr("refused")), Not(HasSubstr(tree.string()))));
  for (const char* host : {"n1", "n2"})
    EXPECT_NE(bed().run_on(host, {"ls", "/tmp/regatta"}).exit_code, 0) << "a dry run writes nothing";
  EXPECT_FALSE(fs::exists(home()));

  ASSERT_EQ(bed().run_on("n2", {"mount", "--bind", "/dev/null", "/usr/bin/orted"}).exit_code, 0);
  EXPECT_THAT(push_from(tree / "bin/regatta", {"--dry-run"}).out, HasSubstr("refused host n2: no orted"))
      << "what is missing beside the tree is said all the same";
}

TEST_F(Push, CtrlCEndsItAndLeavesNothing) {
  const auto tree = install();
  hide(tree);
  bed().act("rate", "n0", {"200mbit"});  // it is not done before it is ended
  Process push(push_command(tree / "bin/regatta"), options());
  const std::string archive = "ls /tmp/regatta-push-*/tree.tar";
  ASSERT_TRUE(wait_until(
      [&] {
        return bed().run_on("n0", {"sh", "-c", archive}).exit_code == 0;
      },
      std::chrono::seconds(60)))
      << push.err();
  bed().run_on("n0", {"pkill", "-INT", "-x", "regatta"});
  const auto ended = push.wait();
  EXPECT_EQ(ended.exit_code, 130) << ended.text();
  EXPECT_THAT(ended.err, Not(HasSubstr("tar"))) << "it has not failed";
  EXPECT_NE(bed().run_on("n0", {"sh", "-c", archive}).exit_code, 0);
  const auto trees = [&] { return bed().run_on("n1", {"sh", "-c", "ls /tmp/regatta/trees 2>/dev/null"}).out; };
  EXPECT_TRUE(wait_until([&] { return trees().empty(); })) << trees();
  EXPECT_EQ(bed().strays({"n0", "n1", "n2"}), "");
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
