// The table of mistakes through the real binary: exit code 2, one finding on stderr, nothing on stdout, nothing made.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/config_mistakes.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

const char* const kRegatta = REGATTA_BIN_DIR "/regatta";

/// A folder with a job and a cluster file, and a home that should not come to be.
class Desk {
 public:
  Desk(const std::string& job, const std::string& cluster) {
    folder_.write("job.yaml", job);
    folder_.write("cluster.yaml", cluster);
  }

  ProcessResult run(const std::vector<std::string>& more = {}, const std::string& without = "") const {
    std::vector<std::string> argv{kRegatta, "run", "job.yaml", "--cluster", "cluster.yaml", "--home", "home"};
    argv.insert(argv.end(), more.begin(), more.end());
    const std::string user_home = (folder_.path() / "user").string();
    return test::run(argv, {.environment = {{"HOME", user_home}, {"REGATTA_PRICES", ""}, {"REGATTA_WITHOUT", without}},
                            .folder = folder_.path()});
  }

  std::set<std::string> names() const {
    std::set<std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
      all.insert(fs::relative(entry.path(), folder_.path()).string());
    return all;
  }

 private:
  TemporaryFolder folder_;
};

/// Runs the desk and expects a refusal that leaves nothing behind; returns stderr.
std::string refusal(const Desk& desk, const std::vector<std::string>& more = {}, const std::string& without = "") {
  const ProcessResult result = desk.run(more, without);
  EXPECT_EQ(result.exit_code, static_cast<int>(ExitCode::kBadConfig)) << result.text();
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(desk.names(), (std::set<std::string>{"job.yaml", "cluster.yaml"})) << "something was created";
  return result.err;
}

void expect_refusals(std::span<const Mistake> mistakes, const std::string& file) {
  for (const Mistake& mistake : mistakes) {
    SCOPED_TRACE(mistake.name);
    const bool in_job = file == "job.yaml";
    const Desk desk(in_job ? with_mistake(good_job(), mistake) : good_job(),
                    in_job ? good_cluster() : with_mistake(good_cluster(), mistake));
    EXPECT_EQ(compare_findings(refusal(desk), file, mistake), "");
  }
}

TEST(ConfigErrors, TableHasEnoughMistakesInBothFiles) {
  EXPECT_GE(job_mistakes().size() + cluster_mistakes().size(), 60U);
  EXPECT_GE(cluster_mistakes().size(), 20U);
}

TEST(ConfigErrors, MistakesInTheJobFile) {
  expect_refusals(job_mistakes(), "job.yaml");
}
TEST(ConfigErrors, LaterKeysOfTheJobFile) {
  expect_refusals(job_later(), "job.yaml");
}
TEST(ConfigErrors, MistakesInTheClusterFile) {
  expect_refusals(cluster_mistakes(), "cluster.yaml");
}

TEST(ConfigErrors, BothFilesAreReportedTogether) {
  const Mistake job{.line = "  batch: 128",
                    .instead = "  batch: 0",
                    .place = "5:3",
                    .path = "train.batch",
                    .expected = "at least 1",
                    .found = "found 0",
                    .advice = "at least 1"};
  const Mistake cluster{.line = "    nodes: 1",
                        .instead = "    nodes: 0",
                        .place = "4:5",
                        .path = "pools.here.nodes",
                        .expected = "at least 1",
                        .found = "found 0",
                        .advice = "at least 1"};
  const std::string text = refusal(Desk(with_mistake(good_job(), job), with_mistake(good_cluster(), cluster)));
  EXPECT_EQ(compare_findings(text, "job.yaml", job), "");
  EXPECT_EQ(compare_findings(text, "cluster.yaml", cluster), "");
}

TEST(ConfigErrors, WhatTheFilesSayOfEachOther) {
  const Mistake pool{.line = "  - {name: two, pool: here, ranks: 2}",
                     .instead = "  - {name: two, pool: her, ranks: 2}",
                     .place = "16:17",
                     .path = "configurations[1].pool",
                     .expected = "known: here",
                     .found = "\"her\"",
                     .advice = "Did you mean \"here\"?"};
  EXPECT_EQ(compare_findings(refusal(Desk(with_mistake(good_job(), pool), good_cluster())), "job.yaml", pool), "");
  const Mistake ranks{.line = "  - {name: two, pool: here, ranks: 2}",
                      .instead = "  - {name: two, ranks: 64}",
                      .place = "16:17",
                      .path = "configurations[1].ranks",
                      .expected = "2",
                      .found = "64",
                      .advice = "oversubscribe"};
  EXPECT_EQ(compare_findings(refusal(Desk(with_mistake(good_job(), ranks), good_cluster())), "job.yaml", ranks), "");
}

TEST(ConfigErrors, CommandLine) {
  const Desk desk(good_job(), good_cluster());
  EXPECT_THAT(refusal(desk, {"--set", "train.batch=0"}),
              testing::HasSubstr("--set train.batch: train.batch: out of range"));
  EXPECT_THAT(refusal(desk, {"--set", "train.bach=1"}), testing::HasSubstr("Did you mean \"batch\"?"));
  EXPECT_THAT(refusal(desk, {"--set", "train.batch"}), testing::HasSubstr("expected KEY=VALUE"));
  EXPECT_THAT(refusal(desk, {"--only", "tow"}), testing::HasSubstr("Did you mean \"two\"?"));
  EXPECT_THAT(refusal(desk, {"--ony", "two"}), testing::HasSubstr("--ony"));
}

TEST(ConfigErrors, APartThatCannotBeSwitchedOff) {
  const Desk desk(good_job(), good_cluster());
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--dry-run"}}) {
    const std::string said = refusal(desk, more, "lstm,alocator");
    EXPECT_THAT(said, testing::HasSubstr("REGATTA_WITHOUT: unknown word \"alocator\""));
    EXPECT_THAT(said, testing::HasSubstr("Did you mean \"allocator\"?"));
    EXPECT_EQ(said.find("alocator"), said.rfind("alocator")) << "once: " << said;
  }
}

TEST(ConfigErrors, AFileThatIsNoMapGivesOneFinding) {
  for (const char* text : {"", "- a\n", "word\n"}) {
    const std::string said = refusal(Desk(text, good_cluster()));
    EXPECT_EQ(said.find("expected a map"), said.rfind("expected a map")) << said;
    EXPECT_NE(said.find("expected a map"), std::string::npos) << said;
    EXPECT_EQ(said.find("train.accumulate"), std::string::npos) << said;
  }
}

TEST(ConfigErrors, AFileThatIsNotThere) {
  const TemporaryFolder folder;
  const auto result = test::run({kRegatta, "run", "no.yaml", "--home", "home"}, {.folder = folder.path()});
  EXPECT_EQ(result.exit_code, 2) << result.text();
  EXPECT_THAT(result.err, testing::HasSubstr("no.yaml: cannot read the job file (expected a file, found nothing)"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace regatta::test
