// Every mistake of the table at the reader; tests/system/config_errors_test.cpp sends them through the binary.

#include <gtest/gtest.h>

#include "cluster/spec.hpp"
#include "common/error.hpp"
#include "tests/support/config_mistakes.hpp"

namespace regatta::test {
namespace {

class ClusterMistake : public testing::TestWithParam<Mistake> {};

TEST_P(ClusterMistake, GivesOneFinding) {
  const std::string text = with_mistake(good_cluster(), GetParam());
  try {
    read_cluster_text(text, "cluster.yaml", "/data");
    FAIL() << "accepted:\n" << text;
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kBadConfig);
    EXPECT_EQ(compare_findings(error.what(), "cluster.yaml", GetParam()), "");
  }
}

const auto kName = [](const testing::TestParamInfo<Mistake>& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Table, ClusterMistake, testing::ValuesIn(cluster_mistakes().begin(), cluster_mistakes().end()),
                         kName);

}  // namespace
}  // namespace regatta::test
