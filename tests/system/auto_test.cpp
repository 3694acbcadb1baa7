// `precision: auto` and `ranks: auto` from outside: what is tried, said, recorded, kept and taken up again.

#include "common/files.hpp"
#include "coordinator/kernel_cache.hpp"
#include "jobs/plan_files.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::ElementsAre, testing::HasSubstr, testing::Not;

class AutoTest : public SystemTest {
 protected:
  /// Of the latest run.
  Plan plan() const { return read_plan(fs::path(runs().back().run_dir) / "attempt-1" / "plan.json"); }
  std::vector<fs::path> cached() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(home() / "choices")) files.push_back(entry.path());
    return files;
  }
};

constexpr const char* kAllOpen = "{name: open, pool: here, ranks: auto, train: {precision: auto}}";

TEST_F(AutoTest, IsTriedOnceAndThenTakenFromTheCache) {
  const auto job = folder_.write("job.yaml", tiny_job({kAllOpen}));
  const auto ahead = regatta({"run", job, "--dry-run"});
  EXPECT_THAT(ahead.out, AllOf(HasSubstr("ways to try before it runs")));
  EXPECT_FALSE(fs::exists(home()));

  const auto first = regatta({"run", job});
  ASSERT_EQ(first.exit_code, 0) << first.text();
  EXPECT_THAT(first.err, AllOf(HasSubstr("ranks x threads  precision"), HasSubstr("1 x 1            fp32"),
                               HasSubstr("1 x 1            bf16"), HasSubstr("which are not billed"),
                               HasSubstr("  kept\n"), HasSubstr("open: kept ")));
  ASSERT_EQ(runs().size(), 1U) << "trials are no runs";
  const Plan made = plan();
  ASSERT_TRUE(made.choice);
  EXPECT_FALSE(made.choice->from_cache);
  EXPECT_FALSE(made.trial);
  EXPECT_GT(made.choice->took_s, 0);
  const Way kept{made.placement.ranks, made.placement.threads, made.training.train.precision};
  EXPECT_EQ(made.choice->kept, kept) << "the plan is what was chosen";
  EXPECT_NE(made.training.train.precision, Precision::kAuto);
  EXPECT_FALSE(fs::exists(home() / "trials")) << "scratch folders go";
  ASSERT_EQ(cached().size(), 1U);

  const Json shown = regatta_json({"show", runs().back().id.value});
  EXPECT_EQ(shown.at("choice"), to_json(*made.choice));
  EXPECT_THAT(regatta({"show", runs().back().id.value}).out, HasSubstr("\nchosen         " + to_text(kept) + ": "));

  const auto second = regatta({"run", job});
  ASSERT_EQ(second.exit_code, 0) << second.text();
  EXPECT_THAT(second.err, AllOf(HasSubstr("--retune tries again"), Not(HasSubstr("trying"))));
  ASSERT_TRUE(plan().choice);
  EXPECT_TRUE(plan().choice->from_cache);
  EXPECT_EQ(plan().choice->kept, kept);
  EXPECT_EQ(plan().choice->measured_at, made.choice->measured_at);
  EXPECT_THAT(regatta({"run", job, "--dry-run"}).out, HasSubstr("auto    " + to_text(kept)));
}

TEST_F(AutoTest, ADamagedCacheIsSaidAndTriedAgain) {
  const auto job =
      folder_.write("job.yaml", tiny_job({"{name: open, pool: here, ranks: 1, train: {precision: auto}}"}, 1));
  ASSERT_EQ(regatta({"run", job}).exit_code, 0);
  ASSERT_EQ(cached().size(), 1U);
  write_file_atomically(cached()[0], read_file(cached()[0]).substr(0, 100));
  const auto again = regatta({"run", job, "--quiet"});
  EXPECT_EQ(again.exit_code, 0) << again.text();
  EXPECT_THAT(again.err,
              AllOf(HasSubstr(cached()[0].filename().string()), HasSubstr("not JSON"), HasSubstr("tried again")));
  EXPECT_FALSE(plan().choice->from_cache);
  EXPECT_THAT(regatta({"run", job}).err, HasSubstr("--retune tries again")) << "whole again";
  const auto retuned = regatta({"run", job, "--retune"});
  EXPECT_THAT(retuned.err, HasSubstr("trying 2 ways"));
  EXPECT_FALSE(plan().choice->from_cache);
}

TEST_F(AutoTest, AJobThatDepartsInBf16IsRefusedBf16) {
  // At the edge of divergence rounding decides where training goes.
  const auto job = folder_.write(
      "job.yaml",
      "name: edge\nmodel: {kind: mlp, hidden: [256, 256, 256, 256]}\n"
      "data: {format: idx, path: " REGATTA_SOURCE_DIR
      "/jobs/examples/data/mnist}\n"
      "train: {batch: 64, optimizer: {kind: sgd, lr: 0.2, momentum: 0.9}, precision: auto, evaluate: never}\n"
      "stop: {max_time: 1s}\nconfigurations: [{name: open, ranks: 1}]\n");
  const auto result = regatta({"run", job});
  EXPECT_THAT(result.err, HasSubstr("bf16 refused: its loss departs from fp32's by")) << result.text();
  const Plan made = plan();
  EXPECT_EQ(made.training.train.precision, Precision::kFp32);
  ASSERT_EQ(made.choice->tried.size(), 2U);
  EXPECT_FALSE(made.choice->tried[1].acceptable);
  EXPECT_THAT(runs().back().choice->reason, HasSubstr("refused"));
}

TEST_F(AutoTest, AnInterruptDuringATrialLeavesNothing) {
  const auto job = folder_.write("job.yaml", tiny_job({kAllOpen}));
  Process regatta_run(command({"run", job}), options_);
  ASSERT_TRUE(wait_until([&] { return fs::exists(home() / "trials"); }, std::chrono::seconds(60)));
  regatta_run.signal(SIGINT);
  EXPECT_EQ(regatta_run.wait(std::chrono::seconds(30)).exit_code, 130);
  EXPECT_TRUE(runs().empty());
  EXPECT_FALSE(fs::exists(home() / "trials"));
  EXPECT_THAT(ranks(), testing::IsEmpty());
}

TEST_F(AutoTest, ASecondRunTakesTheFirstOnesKernelsAndGivesTheSameBits) {
  const auto job = folder_.write("job.yaml", tiny_job({"{name: two, pool: here, ranks: 2}"}));
  std::vector<std::string> weights;
  for (int time = 1; time <= 2; ++time) {
    ASSERT_EQ(regatta({"run", job, "--quiet"}).exit_code, 0);
    EXPECT_EQ(plan().kernels.has_value(), time == 2) << "the first one measures";
    weights.push_back(runs().back().result.at("weights").at("xxh3"));
  }
  const auto measured = measured_kernels(runs().front());
  ASSERT_TRUE(measured);
  EXPECT_EQ(plan().kernels, measured);
  EXPECT_EQ(weights[0], weights[1]);
  ASSERT_EQ(regatta({"run", job, "--quiet", "--retune"}).exit_code, 0);
  EXPECT_FALSE(plan().kernels);
}

}  // namespace
}  // namespace regatta::test
