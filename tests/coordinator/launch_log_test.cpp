// Faults as mpirun and ranks word them; the texts are Open MPI 4.1.4's.
#include "coordinator/launch_log.hpp"

#include <gmock/gmock.h>

namespace regatta {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const std::vector<std::string> kHosts = {"n1", "n1", "n2", "n3"};

constexpr const char* kLost = R"(regatta-worker: first step done 1.24 s after the start of the process
--------------------------------------------------------------------------
ORTE has lost communication with a remote daemon.

  HNP daemon   : [[11029,0],0] on node n0
  Remote daemon: [[11029,0],3] on node n1

This is usually due to either a failure of the TCP network
--------------------------------------------------------------------------
)";

TEST(FindFaults, ALostHostWithItsRanks) {
  const auto faults = find_faults(kLost, kHosts);
  ASSERT_THAT(faults, SizeIs(1));
  EXPECT_EQ(faults[0].kind, Fault::Kind::kLostHost);
  EXPECT_EQ(faults[0].host, "n1");
  EXPECT_EQ(faults[0].code, 205);
  EXPECT_THAT(faults[0].what, HasSubstr("host n1 (ranks 0, 1) was lost"));
  EXPECT_THAT(find_faults(std::string(kLost) + kLost, kHosts), SizeIs(1));
}

TEST(FindFaults, AHostThatWasNeverReached) {
  const auto faults = find_faults(
      "ssh: connect to host n2 port 22: No route to host\r\n"
      "ORTE was unable to reliably start one or more daemons.\n",
      kHosts);
  ASSERT_THAT(faults, SizeIs(1));
  EXPECT_EQ(faults[0].code, 255);
  EXPECT_EQ(faults[0].what, "host n2 (rank 2) could not be reached by mpirun's ssh: No route to host");
}

TEST(FindFaults, ARankThatASignalEnded) {
  const auto faults = find_faults(
      "mpirun noticed that process rank 2 with PID 261 on node n2 exited on signal 9 (Killed).\n"
      "[n0:00043] 1 more process has sent help message help-mpi-btl-tcp.txt / peer hung up\n",
      kHosts);
  ASSERT_THAT(faults, SizeIs(1));
  EXPECT_EQ(faults[0].rank, 2);
  EXPECT_EQ(faults[0].host, "n2");
  EXPECT_EQ(faults[0].code, 137);
  EXPECT_EQ(faults[0].what, "rank 2 on n2 was ended by signal 9 (SIGKILL)");
}

TEST(FindFaults, WhatARankSaysWithAllItsLines) {
  const auto faults = find_faults(
      "regatta-worker: error: rank 3 on n4: rank 3 on n4 waited 5.4 s in sum of gradients, longer than the deadline of "
      "5.0 s\n"
      "  Not arrived: rank 1\nregatta-worker: info\n  not its line\n"
      "regatta-worker: error: rank 0 on n1: the disk is full\n",
      kHosts);
  ASSERT_THAT(faults, SizeIs(2));
  EXPECT_EQ(faults[0].code, 13);
  EXPECT_EQ(faults[0].what,
            "rank 3 on n4 waited 5.4 s in sum of gradients, longer than the deadline of 5.0 s\n  Not arrived: rank 1");
  EXPECT_EQ(faults[1].what, "rank 0 on n1: the disk is full");
  EXPECT_EQ(faults[1].code, 1);
}

TEST(FindFaults, NothingInARunThatGoesWell) {
  EXPECT_THAT(find_faults("regatta-worker: warning: slow\nregatta-worker: epoch 1: loss 0.1\n", kHosts), IsEmpty());
  EXPECT_THAT(find_faults("", kHosts), IsEmpty());
}

TEST(RootCause, IsWhatWasLostAndNotWhoWaited) {
  EXPECT_EQ(root_cause({}), nullptr);
  const std::vector<Fault> faults = {{.kind = Fault::Kind::kRankError, .what = "waited"},
                                     {.kind = Fault::Kind::kSilentHost, .what = "silent"},
                                     {.kind = Fault::Kind::kLostHost, .what = "lost"}};
  EXPECT_EQ(root_cause(faults)->what, "lost");
  EXPECT_EQ(root_cause({faults[0], faults[1]})->what, "silent");
}

TEST(HostWords, CountRanks) {
  EXPECT_EQ(host_words("n1", kHosts), "host n1 (ranks 0, 1)");
  EXPECT_EQ(host_words("n3", kHosts), "host n3 (rank 3)");
  EXPECT_EQ(host_words("n9", kHosts), "host n9");
}

}  // namespace
}  // namespace regatta
