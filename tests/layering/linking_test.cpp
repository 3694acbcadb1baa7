#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "tests/support/process.hpp"

namespace regatta {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

/// "libc.so.6" of each line of `ldd`, without the addresses: their digits may spell any short name.
std::set<std::string> libraries(const std::string& ldd) {
  std::set<std::string> names;
  std::istringstream lines(ldd);
  std::string name;
  for (std::string line; std::getline(lines, line);)
    if (std::istringstream(line) >> name) names.insert(name);
  return names;
}

TEST(Linking, TheCoordinatorLinksNeitherTorchNorMpi) {
  const auto result = test::run({"ldd", REGATTA_BIN_DIR "/regatta"});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const auto names = libraries(result.out);
  ASSERT_THAT(names, Contains("libc.so.6"));
  for (const char* library : {"torch", "c10", "libmpi", "libopen-rte", "libpmix", "cuda", "nccl"})
    EXPECT_THAT(names, Not(Contains(HasSubstr(library))));
}

#ifdef REGATTA_HAS_WORKER
/// Those of `names` that are CUDA's or built on it: the loader brings them along.
std::set<std::string> cuda_libraries(const std::set<std::string>& names) {
  static const std::regex kName(R"(lib(?:cu|nccl|nv|torch_cuda|c10_cuda|regatta).*)");
  std::set<std::string> cuda;
  for (const auto& name : names)
    if (std::regex_match(name, kName)) cuda.insert(name);
  return cuda;
}

TEST(Linking, TheWorkerNeedsNoMoreOfCudaThanLibtorchCpuDoes) {
  const auto own = test::run({"readelf", "-d", REGATTA_BIN_DIR "/regatta-worker"});
  ASSERT_EQ(own.exit_code, 0) << own.text();
  ASSERT_THAT(own.out, HasSubstr("Shared library: [libtorch_cpu.so]"));
  for (const char* library : {"[libcu", "[libnccl", "cuda"}) EXPECT_THAT(own.out, Not(HasSubstr(library)));
  const auto all = test::run({"ldd", REGATTA_BIN_DIR "/regatta-worker"});
  ASSERT_EQ(all.exit_code, 0) << all.text();
  EXPECT_THAT(cuda_libraries(libraries(all.out)), testing::ElementsAre("libcudart.so.13", "libcupti.so.13"));
}
#endif

}  // namespace
}  // namespace regatta
