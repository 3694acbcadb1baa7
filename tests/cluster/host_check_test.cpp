// What hosts are asked before a launch, how their answers are read, and which network is chosen.
#include "cluster/host_check.hpp"

#include <gmock/gmock.h>

#include "cluster/launcher.hpp"
#include "cluster/ssh.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const HostNeeds kNeeds{.worker = "/opt/bin/regatta-worker",
                       .worker_version = "regatta-worker 0.1.0",
                       .mpi_version = "mpirun (Open MPI) 4.1.4",
                       .token = "T1",
                       .runs = "/home/runs"};

HostAnswer good(const std::string& host, const std::string& address = "10.0.0.2",
                const std::string& network = "10.0.0.2/24") {
  return {.host = host,
          .name = host,
          .address = address,
          .asker = "10.0.0.1",
          .addresses = {{"lo", "127.0.0.1/8"}, {"e0", network}, {"docker0", "172.17.0.1/16"}},
          .worker_version = "regatta-worker 0.1.0",
          .mpi_version = "mpirun (Open MPI) 4.1.4",
          .has_orted = true,
          .token = "T1",
          .writes = true};
}

TEST(HostAnswers, AreReadAmongWhateverALoginPrints) {
  const auto answer = read_answer(
      "n1",
      "Welcome to n1!\n"
      "regatta:name node-1\n"
      "regatta:connection 10.0.0.1 40000 10.0.0.2 22\n"
      "regatta:address lo 127.0.0.1/8\n"
      "regatta:address e0 10.0.0.2/24\n"
      "regatta:orted yes\nregatta:mpi mpirun (Open MPI) 4.1.4\n"
      "regatta:library libtorch_cpu.so\nregatta:library libc10.so\n"
      "regatta:unreadable /data/my set\nnoise regatta:token T2\nregatta:token T1\nregatta:writes yes\nregatta:end .\n");
  EXPECT_EQ(answer.trouble, "");
  EXPECT_EQ(answer.name, "node-1");
  EXPECT_EQ(answer.address, "10.0.0.2");
  EXPECT_EQ(answer.asker, "10.0.0.1");
  EXPECT_THAT(answer.addresses, ElementsAre(HostAddress{"lo", "127.0.0.1/8"}, HostAddress{"e0", "10.0.0.2/24"}));
  EXPECT_THAT(answer.missing_libraries, ElementsAre("libtorch_cpu.so", "libc10.so"));
  EXPECT_THAT(answer.unreadable, ElementsAre("/data/my set"));
  EXPECT_EQ(answer.token, "T1");
  EXPECT_TRUE(answer.writes && answer.has_orted);
  EXPECT_FALSE(answer.worker_missing || answer.worker_blocked);
}

TEST(HostAnswers, WithoutTheirEndAreNone) {
  EXPECT_THAT(read_answer("n1", "regatta:orted yes\n").trouble, HasSubstr("host n1"));
}

TEST(HostAnswers, AreWhatTheScriptSays) {
  const TemporaryFolder folder;
  const auto token = folder.write("it's", "T1\n");
  const auto data = folder.write("data 1", "");
  const auto script =
      folder.write("script", question_script({.worker = "/bin/true", .token = token, .data = {data, "/no/such"}}));
  const auto answer = read_answer("here", run({"/bin/sh", script}).out);
  EXPECT_EQ(answer.trouble, "");
  EXPECT_EQ(answer.token, "T1");
  EXPECT_TRUE(answer.writes);
  EXPECT_THAT(answer.unreadable, ElementsAre("/no/such"));
  EXPECT_THAT(answer.missing_libraries, IsEmpty());
  const auto missing = folder.write("missing", question_script({.worker = "/no/such/worker"}));
  EXPECT_TRUE(read_answer("here", run({"/bin/sh", missing}).out).worker_missing);
  const auto blocked = folder.write("blocked", question_script({.worker = data}));
  EXPECT_TRUE(read_answer("here", run({"/bin/sh", blocked}).out).worker_blocked);
}

TEST(HostRefusals, NameHostAndWhatIsMissing) {
  EXPECT_EQ(host_refusal(good("n2"), kNeeds, true), "");
  auto answer = good("n2");
  answer.missing_libraries = {"libtorch_cpu.so"};
  EXPECT_THAT(host_refusal(answer, kNeeds, false),
              AllOf(HasSubstr("host n2"), HasSubstr("lacks libtorch_cpu.so"), HasSubstr("--push")));
  answer = good("n2");
  answer.worker_missing = true;
  EXPECT_THAT(host_refusal(answer, kNeeds, false), HasSubstr("no worker at /opt/bin/regatta-worker"));
  answer = good("n2");
  answer.worker_version = "regatta-worker 0.0.9";
  EXPECT_THAT(host_refusal(answer, kNeeds, false),
              HasSubstr("expected regatta-worker 0.1.0, found regatta-worker 0.0.9"));
  answer = good("n2");
  answer.mpi_version = "mpirun (Open MPI) 5.0.1";
  EXPECT_THAT(host_refusal(answer, kNeeds, false), HasSubstr("another MPI"));
  HostNeeds unknown = kNeeds;
  unknown.mpi_version.clear();
  EXPECT_EQ(host_refusal(answer, unknown, false), "") << "it is this host that has none, which is said elsewhere";
  answer = good("n2");
  answer.has_orted = false;
  EXPECT_THAT(host_refusal(answer, kNeeds, false), HasSubstr("no orted"));
  answer = good("n2");
  answer.unreadable = {"/data/mnist"};
  EXPECT_THAT(host_refusal(answer, kNeeds, false), HasSubstr("cannot read the data: /data/mnist"));
}

TEST(HostRefusals, OnlyRankZeroNeedsTheRunsFolder) {
  auto answer = good("n1");
  answer.token = "";
  EXPECT_EQ(host_refusal(answer, kNeeds, false), "");
  EXPECT_THAT(host_refusal(answer, kNeeds, true), HasSubstr("does not see the runs' folder /home/runs"));
  answer.token = "T1";
  answer.writes = false;
  EXPECT_EQ(host_refusal(answer, kNeeds, false), "");
  EXPECT_THAT(host_refusal(answer, kNeeds, true), HasSubstr("cannot write"));
}

TEST(SshTrouble, SaysWhatToDo) {
  PoolSpec pool;
  pool.ssh_config = "/c";
  const std::pair<const char*, const char*> cases[] = {
      {"ssh: connect to host n2 port 22: Connection refused\r\n", "no sshd listens"},
      {"ssh: connect to host n2 port 22: Connection timed out\n", "does not answer"},
      {"Connection timed out during banner exchange\n", "does not answer"},
      {"@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
       "ssh-keygen -R n2"},
      {"No ED25519 host key is known for n2\nHost key verification failed.\n", "ssh -F /c n2"},
      {"root@n2: Permission denied (publickey).\n", "ssh-copy-id n2"},
      {"ssh: Could not resolve hostname n2: Name or service not known\n", "mend the name"},
      {"", "it said nothing"},
  };
  for (const auto& [said, expected] : cases)
    EXPECT_THAT(ssh_trouble(pool, "n2", said), AllOf(HasSubstr("host n2"), HasSubstr(expected))) << said;
}

TEST(NetworkChoices, TheOneOnWhichAllHostsWereReached) {
  auto other = good("n2", "10.0.0.3", "10.0.0.3/24");
  other.addresses[1].interface = "eth1";
  const auto choice = choose_network("", {good("n1"), other}, {{"e5", "10.0.0.1/24"}});
  EXPECT_EQ(choice.ranks, "10.0.0.0/24");
  EXPECT_EQ(choice.daemons, "10.0.0.0/24");
  EXPECT_EQ(choice.words, "10.0.0.0/24 (e0 on n1, eth1 on n2)");
  EXPECT_EQ(choose_network("", {good("n1"), other}, {{"e5", "192.168.0.1/24"}}).daemons, "")
      << "this host is elsewhere";
}

TEST(NetworkChoices, NoneWhereHostsDoNotMeet) {
  EXPECT_EQ(choose_network("", {good("n1"), good("n2", "10.1.0.3", "10.1.0.3/24")}, {}).ranks, "");
  EXPECT_EQ(choose_network("", {good("n1", "172.16.0.9")}, {}).ranks, "") << "reached through a translated address";
  const auto forwarded = [](const std::string& host) { return good(host, "127.0.0.1"); };
  EXPECT_EQ(choose_network("", {forwarded("n1"), forwarded("n2")}, {}).ranks, "")
      << "each reached by a port of this host";
  EXPECT_EQ(choose_network("", {forwarded("n1")}, {}).ranks, "127.0.0.0/8");
}

TEST(NetworkChoices, APersonsChoiceIsChecked) {
  const std::vector<HostAddress> here = {{"e0", "10.0.0.1/24"}};
  EXPECT_EQ(choose_network("e0", {good("n1")}, here).ranks, "e0");
  EXPECT_EQ(choose_network("e0", {good("n1")}, here).daemons, "e0");
  EXPECT_EQ(choose_network("docker0", {good("n1")}, here).daemons, "");
  EXPECT_EQ(choose_network("10.0.0.0/16", {good("n1")}, here).ranks, "10.0.0.0/16");
  EXPECT_THAT(choose_network("ib0", {good("n1")}, here).refused,
              AllOf(HasSubstr("host n1"), HasSubstr("ib0"), HasSubstr("e0 10.0.0.2/24")));
  EXPECT_THAT(choose_network("10.9.0.0/24", {good("n1")}, here).refused, HasSubstr("10.9.0.0/24"));
  EXPECT_THAT(choose_network("127.0.0.0/8", {good("n1", "10.0.0.2", "127.0.0.1/8"), good("n2")}, here).refused,
              HasSubstr("reaches each host alone"));
}

TEST(SshCommand, SaysItAll) {
  PoolSpec pool{.name = "rack", .launcher = LauncherKind::kSsh, .nodes = 2, .hosts = {"n1", "n2"}, .ssh_config = "/c"};
  pool.found = {.ranks_network = "10.0.0.0/24", .daemons_network = "10.0.0.0/24"};
  const LaunchRequest request{.worker = "/w",
                              .plan = "/r/attempt-1/plan.json",
                              .run_dir = "/r",
                              .ranks = 3,
                              .ranks_by_node = {2, 1},
                              .forwarded = {"REGATTA_WITHOUT"}};
  EXPECT_EQ(host_file(pool, request), "n1 slots=2\nn2 slots=1\n");
  EXPECT_THAT(
      ssh_command(pool, request),
      ElementsAre("mpirun", "-np", "3", "--hostfile", "/r/attempt-1/hostfile", "--bind-to", "none", "--mca", "plm",
                  "rsh", "--mca", "plm_rsh_agent",
                  "ssh -F /c -o BatchMode=yes -o ConnectTimeout=5 -o ServerAliveInterval=2 -o ServerAliveCountMax=3",
                  "--mca", "plm_rsh_no_tree_spawn", "1", "--mca", "oob_tcp_keepalive_time", "2", "--mca",
                  "oob_tcp_keepalive_intvl", "1", "--mca", "oob_tcp_keepalive_probes", "3", "--mca",
                  "btl_tcp_if_include", "10.0.0.0/24", "--mca", "oob_tcp_if_include", "10.0.0.0/24", "-x",
                  "REGATTA_WITHOUT", "/w", "--plan", "/r/attempt-1/plan.json", "--run-dir", "/r"));
  pool.found.worker = "/pushed/bin/regatta-worker";
  EXPECT_THAT(ssh_command(pool, request),
              AllOf(testing::Contains("/pushed/bin/regatta-worker"), Not(testing::Contains("/w"))));
}

TEST(SshCommand, ForwardsWhatSaysHowRanksWork) {
  EXPECT_THAT(forwarded_variables(
                  {"REGATTA_WITHOUT=a", "REGATTA_HOME=/h", "PATH=/b", "REGATTA_SLOTS=/s", "OMP_WAIT_POLICY=passive"}),
              ElementsAre("OMP_WAIT_POLICY", "REGATTA_WITHOUT"));
}

}  // namespace
}  // namespace regatta::test
