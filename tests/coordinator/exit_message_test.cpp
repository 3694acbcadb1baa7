#include "coordinator/exit_message.hpp"

#include <gmock/gmock.h>

#include "tests/support/process.hpp"

namespace regatta {
namespace {

constexpr const char* kStamp = "2025-07-01T12:00:00.000000Z";

TEST(ExitMessage, TakesTheLastErrorOfARank) {
  const std::string log = std::string(kStamp) + " info error rates are fine\n" + kStamp + " error first\n" + kStamp +
                          " error a.idx: expected 10 bytes, found 9\n  copy it again\n" + kStamp +
                          " info leaving\nstray\n";
  EXPECT_EQ(last_rank_error(log), "a.idx: expected 10 bytes, found 9\n  copy it again");
  EXPECT_EQ(last_rank_error(std::string(kStamp) + " info fine\n"), "");
}

TEST(ExitMessage, TakesTheWorkersErrorBeforeTheLaunchersLastWord) {
  const std::string banner = "--------\nmpirun noticed that process rank 1 exited on signal 9 (Killed).\n--------\n\n";
  EXPECT_EQ(last_launcher_error(banner), "mpirun noticed that process rank 1 exited on signal 9 (Killed).");
  EXPECT_EQ(last_launcher_error("regatta-worker: error: no such file\n" + banner), "no such file");
}

TEST(ExitMessage, LooksAtRanksInOrderAndThenAtTheLauncher) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(last_error(folder.path()), "");
  folder.write("launch.log", "mpirun: gone\n");
  folder.write("rank-0.log", std::string(kStamp) + " info fine\n");
  EXPECT_EQ(last_error(folder.path()), "mpirun: gone");
  folder.write("rank-10.log", std::string(kStamp) + " error ten\n");
  EXPECT_EQ(last_error(folder.path()), "ten");
  folder.write("rank-2.log", std::string(kStamp) + " error two\n");
  EXPECT_EQ(last_error(folder.path()), "two");
}

}  // namespace
}  // namespace regatta
