// What hosts cannot do is said before anything is launched on them: one clear message each, and the other rows run.
#include <fstream>
#include <regex>

#include "common/json.hpp"
#include "tests/cluster/bed/ssh_bed.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

const std::string kTwoRows = job_of_rows(
    "  - {name: with-two, pool: two, ranks: 2}\n"
    "  - {name: with-one, pool: one, ranks: 1}\n");
const std::string kPools = ssh_pool("two", 2, "[n1, n2]") + ssh_pool("one", 1, "[n1]");

class HostsAsked : public TwoHosts {
 protected:
  ProcessResult run_job(const std::vector<std::string>& more = {}, const std::string& job_text = kTwoRows,
                        const std::string& pools = kPools) const {
    return regatta(run_arguments(job_text, pools, more));
  }

  std::vector<RunState> runs() const {
    std::vector<RunState> found;
    for (const auto& [id, run] : state().runs) found.push_back(run);
    return found;
  }

  /// The row on n1 and n2 is refused with one finding in these words, and the row on n1 has run.
  template <class Words>
  void expect_refused_for_n2(const Words& words) const {
    const auto result = run_job();
    EXPECT_EQ(result.exit_code, 1) << result.text();
    const auto found = runs();
    ASSERT_EQ(found.size(), 2U) << result.text();
    for (const auto& run : found) {
      if (run.configuration == "with-one") {
        EXPECT_EQ(run.status, RunStatus::kDone) << run.reason;
        continue;
      }
      EXPECT_EQ(run.status, RunStatus::kRefused);
      EXPECT_TRUE(run.attempts.empty()) << "nothing was launched";
      EXPECT_THAT(run.reason, AllOf(HasSubstr("host n2: "), words));
      EXPECT_EQ(run.reason.find("\nhost "), std::string::npos) << "one message: " << run.reason;
      EXPECT_THAT(run.reason, Not(HasSubstr("host n1: ")));
      EXPECT_THAT(result.err, HasSubstr(run.reason.substr(0, run.reason.find('\n'))));
    }
  }

  /// The folder of a library that the worker links.
  static fs::path folder_of(const std::string& library) {
    const auto linked = run({"ldd", binary("regatta-worker")}).out;
    std::smatch found;
    if (!std::regex_search(linked, found, std::regex(library + R"(\S* => (\S+))"))) throw std::runtime_error(linked);
    return fs::canonical(found[1].str()).parent_path();
  }
};

TEST_F(HostsAsked, WrongHostKey) {
  run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", bed().folder() / "other"});
  std::ifstream key(bed().folder() / "other.pub");
  std::string kind, text;
  key >> kind >> text;
  const fs::path known = bed().folder() / "ssh/known_hosts";
  std::ifstream before(known);
  std::string lines;
  for (std::string line; std::getline(before, line);)
    lines += (line.starts_with("n2,") ? line.substr(0, line.find(' ')) + " " + kind + " " + text : line) + "\n";
  std::ofstream(known) << lines;
  expect_refused_for_n2(AllOf(HasSubstr("host key is not the one that is known"), HasSubstr("ssh-keygen -R n2")));
}

TEST_F(HostsAsked, LibraryMissingOnOneHost) {
  bed().act("hide", "n2", {folder_of("libtorch_cpu.so")});
  expect_refused_for_n2(AllOf(HasSubstr("lacks "), HasSubstr("libtorch_cpu.so"), HasSubstr("--push")));
}

TEST_F(HostsAsked, NoSshdThere) {
  bed().run_on("n2", {"pkill", "sshd"});
  expect_refused_for_n2(HasSubstr("no sshd listens there"));
}

TEST_F(HostsAsked, HostIsDown) {
  bed().act("poweroff", "n2");
  expect_refused_for_n2(AnyOf(HasSubstr("does not answer"), HasSubstr("no way to it")));
}

TEST_F(HostsAsked, DataMissingOnOneHost) {
  const auto text = write("data/text.txt", std::string(20000, 'a') + std::string(20000, 'b'));
  bed().act("hide", "n2", {text.parent_path()});
  const std::string job = std::regex_replace(
      kTwoRows, std::regex("model:.*\ndata:.*"),
      "model: {kind: lstm, hidden_size: 8, layers: 1, embedding: 8}\ndata: {format: text, path: " + text.string() +
          ", length: 16}");
  const auto result = run_job({"--only", "with-two"}, job);
  EXPECT_EQ(result.exit_code, 1) << result.text();
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("host n2: it cannot read the data: " + text.string()), HasSubstr("mount it there")));
}

TEST_F(HostsAsked, OnlyRankZerosHostMustSeeTheRunsFolder) {
  fs::create_directories(home());
  bed().act("hide", "n2", {home()});
  const auto result = run_job({"--only", "with-two"});
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.err, HasSubstr("host n2 does not see"));
  bed().act("hide", "n1", {home()});
  const auto refused = run_job({"--only", "with-one"});
  EXPECT_EQ(refused.exit_code, 1) << refused.text();
  EXPECT_THAT(refused.err, AllOf(HasSubstr("host n1: rank 0 runs there, and it does not see the runs' folder"),
                                 HasSubstr("--home")));
}

TEST_F(HostsAsked, AHostThatIsAnOption) {
  std::string pools = kPools;
  pools.replace(pools.find("[n1, n2]"), 8, "[n1, -oProxyCommand=x]");
  const auto result = run_job({}, kTwoRows, pools);
  EXPECT_EQ(result.exit_code, 2) << result.text();
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("cluster.yaml:2:"), HasSubstr("-oProxyCommand=x"), HasSubstr("not a host's name")));
  EXPECT_FALSE(fs::exists(home() / "ledger.db"));
}

TEST_F(HostsAsked, TheNetworkIsChosenAndSaid) {
  const auto dry = run_job({"--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.text();
  EXPECT_THAT(dry.err, HasSubstr("ranks talk over 10.99.0.0/24 (e0 on n1, e0 on n2)"));
  EXPECT_THAT(dry.out, AllOf(HasSubstr("--mca btl_tcp_if_include 10.99.0.0/24"),
                             HasSubstr("--mca oob_tcp_if_include 10.99.0.0/24")));
  EXPECT_FALSE(fs::exists(home())) << "a dry run writes nothing";
  const auto refused =
      run_job({"--dry-run"}, kTwoRows, ssh_pool("two", 2, "[n1, n2]", ", interface: ib0") + ssh_pool("one", 1, "[n1]"));
  EXPECT_THAT(refused.out, AllOf(HasSubstr("host n1: no interface \"ib0\""), HasSubstr("e0 10.99.0.2/24")));
}

TEST_F(HostsAsked, TheCommandsThatAreShownCanBePasted) {
  const Json rows =
      parse_json(run_job({"--only", "with-two", "--dry-run", "--json"}).out, "--json").at("configurations");
  const std::string shown = run_job({"--only", "with-two", "--dry-run"}).out;
  const std::string mark = "  command ";
  const auto at = shown.find(mark);
  ASSERT_NE(at, std::string::npos) << shown;
  const std::string line = shown.substr(at + mark.size(), shown.find('\n', at) - at - mark.size());
  std::string expected;
  for (const auto& argument : rows.at(0).at("argv")) expected += "[" + argument.get<std::string>() + "]";
  EXPECT_THAT(expected, HasSubstr("[ssh -F ")) << "an argument with spaces, at least";
  EXPECT_EQ(run({"sh", "-c", "printf '[%s]' " + line}).out, expected) << line;
}

}  // namespace
}  // namespace regatta::test
