// The inventory against the kernel's own answers.
#include "cluster/inventory.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace regatta {
namespace {

TEST(Inventory, NamesThisHostAndItsMemory) {
  const Inventory machine = this_machine();
  char name[256] = {};
  ASSERT_EQ(::gethostname(name, sizeof name - 1), 0);
  EXPECT_EQ(machine.host, name);
  EXPECT_FALSE(machine.cpu_model.empty());
  EXPECT_GE(machine.numa_domains, 1);
  // "MemTotal:       24682416 kB"
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  std::int64_t kibibytes = 0;
  ASSERT_TRUE(meminfo >> key >> kibibytes);
  EXPECT_EQ(key, "MemTotal:");
  EXPECT_NEAR(static_cast<double>(machine.memory_bytes), static_cast<double>(kibibytes) * 1024,
              0.01 * 1024 * static_cast<double>(kibibytes));
}

TEST(Inventory, ListsEachUsableCoreOnce) {
  const Inventory machine = this_machine();
  cpu_set_t mask;
  ASSERT_EQ(::sched_getaffinity(0, sizeof mask, &mask), 0);
  const std::set<int> distinct(machine.cores.begin(), machine.cores.end());
  EXPECT_EQ(distinct.size(), machine.cores.size());
  EXPECT_GE(machine.cores.size(), 1U);
  EXPECT_LE(machine.cores.size(), static_cast<std::size_t>(CPU_COUNT(&mask)));
  for (const int core : machine.cores) EXPECT_TRUE(CPU_ISSET(static_cast<unsigned>(core), &mask)) << "core " << core;
}

// A child narrows its own affinity, so that the test program's stays as it is.
TEST(Inventory, RespectsTheAffinityOfTheProcess) {
  const int last = this_machine().cores.back();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET(static_cast<unsigned>(last), &mask);
    if (::sched_setaffinity(0, sizeof mask, &mask) != 0) ::_exit(2);
    ::_exit(this_machine().cores == std::vector<int>{last} ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace regatta
