// The tree that `./dev install DIR` makes, on hosts that have nothing else of the project.
#include <gmock/gmock.h>

#include <filesystem>

#include "common/json.hpp"
#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class InstalledTree : public BedTest {
 protected:
  InstalledTree() : BedTest({.hosts = 1}) {}

  /// On a host that no longer sees the clone, where libtorch lies too.
  ProcessResult installed(const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {(tree() / "bin" / arguments.front()).string()};
    argv.insert(argv.end(), arguments.begin() + 1, arguments.end());
    return bed().run_on("n1", argv);
  }
  std::filesystem::path tree() { return bed().folder() / "moved"; }
};

TEST_F(InstalledTree, RunsWhereTheCloneIsNot) {
  const auto made = bed().folder() / "made";
  const auto result = run({"cmake", "--install", REGATTA_BUILD_DIR, "--prefix", made, "--strip"});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  std::filesystem::rename(made, tree());
  for (const char* folder : {REGATTA_TORCH_SITE, REGATTA_BUILD_DIR, REGATTA_SOURCE_DIR})  // inner ones first
    bed().act("hide", "n1", {folder});
  ASSERT_NE(bed().run_on("n1", {binary("regatta").string(), "--version"}).exit_code, 0) << "the clone is still there";

  const auto job = tree() / "share" / "regatta" / "examples" / "mnist.yaml";
  const auto ran = installed({"regatta", "run", job, "--only", "two-ranks", "--set", "stop.epochs=1", "--set",
                              "model.kind=mlp", "--home", home(), "--json"});
  ASSERT_EQ(ran.exit_code, 0) << ran.text();
  const Json rows = json_at(parse_json(ran.out, "stdout"), "configurations");
  EXPECT_EQ(rows.size(), 1U);
  for (const auto& row : rows) EXPECT_EQ(json_get<std::string>(row, "status"), "done");
  const auto libraries = bed().run_on("n1", {"ldd", tree() / "bin" / "regatta-worker"});
  EXPECT_THAT(libraries.out, Not(HasSubstr("not found")));
  EXPECT_THAT(libraries.out, Not(HasSubstr(".deps")));
}

}  // namespace
}  // namespace regatta::test
