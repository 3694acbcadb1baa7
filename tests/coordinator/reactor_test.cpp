// The one place that waits.
#include "coordinator/reactor.hpp"

#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/process.hpp"

namespace regatta {
namespace {

TEST(Reactor, SeesASignalWithoutWaiting) {
  Reactor reactor;
  ASSERT_EQ(::raise(SIGINT), 0);
  EXPECT_TRUE(test::wait_until([&] {
    reactor.wait(Duration(0));
    return reactor.interrupts() == 1;
  }));
}

}  // namespace
}  // namespace regatta
