// Every mistake of the table at the reader; tests/system/config_errors_test.cpp sends them through the binary.

#include <gtest/gtest.h>

#include "common/error.hpp"
#include "jobs/spec_reader.hpp"
#include "tests/support/config_mistakes.hpp"

namespace regatta::test {
namespace {

class JobMistake : public testing::TestWithParam<Mistake> {};
class JobLater : public testing::TestWithParam<Mistake> {};

TEST_P(JobMistake, GivesOneFinding) {
  const std::string text = with_mistake(good_job(), GetParam());
  try {
    read_job_text(text, "job.yaml", "/data");
    FAIL() << "accepted:\n" << text;
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kBadConfig);
    EXPECT_EQ(compare_findings(error.what(), "job.yaml", GetParam()), "");
  }
}

TEST_P(JobLater, IsReadAndThenRefused) {
  const JobSpec job = read_job_text(with_mistake(good_job(), GetParam()), "job.yaml", "/data");
  EXPECT_EQ(compare_findings(ConfigError(unsupported(job)).what(), "job.yaml", GetParam()), "");
}

const auto kName = [](const testing::TestParamInfo<Mistake>& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Table, JobMistake, testing::ValuesIn(job_mistakes().begin(), job_mistakes().end()), kName);
INSTANTIATE_TEST_SUITE_P(Table, JobLater, testing::ValuesIn(job_later().begin(), job_later().end()), kName);

}  // namespace
}  // namespace regatta::test
