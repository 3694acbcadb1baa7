#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

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

#ifdef REGATTA_HAS_WORKER
/// "libcudart.so.13" of each library that the loader would bring along and whose name is CUDA's.
std::set<std::string> cuda_libraries(const std::string& ldd) {
  static const std::regex kName(R"(^\s*(lib(?:cu|nccl|nv|torch_cuda|c10_cuda|regatta)[^ ]*))");
  std::set<std::string> names;
  std::istringstream lines(ldd);
  std::smatch match;
  for (std::string line; std::getline(lines, line);)
    if (std::regex_search(line, match, kName)) names.insert(match[1]);
  return names;
}

TEST(Linking, TheWorkerNeedsNoMoreOfCudaThanLibtorchCpuDoes) {
  const auto own = test::run({"readelf", "-d", REGATTA_BIN_DIR "/regatta-worker"});
  ASSERT_EQ(own.exit_code, 0) << own.text();
  ASSERT_THAT(own.out, HasSubstr("Shared library: [libtorch_cpu.so]"));
  for (const char* library : {"[libcu", "[libnccl", "cuda"}) EXPECT_THAT(own.out, Not(HasSubstr(library)));
  const auto all = test::run({"ldd", REGATTA_BIN_DIR "/regatta-worker"});
  ASSERT_EQ(all.exit_code, 0) << all.text();
  EXPECT_THAT(cuda_libraries(all.out), testing::ElementsAre("libcudart.so.13", "libcupti.so.13"));
}
#endif

}  // namespace
}  // namespace regatta
