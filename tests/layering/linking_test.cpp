#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Linking, TheCoordinatorLinksNeitherTorchNorMpi) {
  const auto result = test::run({"ldd", REGATTA_BIN_DIR "/regatta"});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  ASSERT_THAT(result.out, HasSubstr("libc.so"));
  for (const char* library : {"torch", "c10", "libmpi", "libopen-rte", "libpmix", "cuda", "nccl"})
    EXPECT_THAT(result.out, Not(HasSubstr(library)));
}

}  // namespace
}  // namespace regatta
