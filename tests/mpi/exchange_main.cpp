// Started by mpirun: every rank runs the same cases in the same order, and the program fails on all ranks or none.
// Cases use EXPECT only: a rank that left early would keep the others waiting in a collective.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "tests/mpi/world.hpp"

namespace regatta::test {
namespace {

World* the_world = nullptr;

}  // namespace

World& world() {
  return *the_world;
}

}  // namespace regatta::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  regatta::Watchdog watchdog(std::chrono::seconds(60), [](const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::_Exit(13);
  });
  const auto ranks = regatta::make_mpi_context(regatta::launcher_variables(), watchdog, regatta::MpiCallers::kDevices);
  regatta::test::World world{*ranks, watchdog};
  regatta::test::the_world = &world;
  if (ranks->rank() != 0)  // one report is enough, failures are printed by whoever has them
    delete testing::UnitTest::GetInstance()->listeners().Release(
        testing::UnitTest::GetInstance()->listeners().default_result_printer());
  std::array<double, 1> failed{RUN_ALL_TESTS() == 0 ? 0.0 : 1.0};
  if (failed[0] > 0) std::fprintf(stderr, "rank %d failed\n", ranks->rank());
  ranks->allreduce(failed, regatta::Reduce::kMax);
  return failed[0] > 0 ? 1 : 0;
}
