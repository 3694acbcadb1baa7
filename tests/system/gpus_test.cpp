// Rows on GPUs, on a machine that may have none: refused before launch, and the other rows run.

#include <gtest/gtest.h>

#include "common/files.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kGpu = "{name: gpu, backend: nccl, ranks: 1}";

class GpuRows : public SystemTest {
 protected:
  GpuRows() { options_.environment["REGATTA_CUDA_PLUGIN"] = "/nowhere/libregatta_cuda.so"; }
  std::string write_job(const std::vector<std::string>& rows) { return folder_.write("job.yaml", tiny_job(rows)); }
  void use_fake(int gpus) {
    options_.environment["REGATTA_CUDA_PLUGIN"] = REGATTA_TEST_LIBRARIES "/fake_cuda.so";
    options_.environment["REGATTA_FAKE_GPUS"] = std::to_string(gpus);
  }
};

TEST_F(GpuRows, ARowThatCannotRunIsRefusedAndTheOthersRun) {
  const ProcessResult ended = regatta({"run", write_job({kGpu, kOneCore})});
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::kFailure)) << ended.text();
  EXPECT_THAT(ended.err, HasSubstr("gpu: refused: /nowhere/libregatta_cuda.so cannot be loaded"));
  EXPECT_THAT(ended.out, AllOf(HasSubstr("refused"), HasSubstr("gpu refused: /nowhere"), HasSubstr("done")));
  const auto all = runs();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].status, RunStatus::kRefused);
  EXPECT_EQ(all[0].backend, "nccl");
  EXPECT_TRUE(all[0].attempts.empty()) << "never launched";
  EXPECT_FALSE(fs::exists(all[0].run_dir)) << "nothing is half done";
  EXPECT_EQ(all[1].status, RunStatus::kDone);
  const Json row = regatta_json({"compare"})["configurations"][0];
  EXPECT_EQ(row["status"], "refused");
  EXPECT_EQ(row["seconds_per_epoch"]["mean"], nullptr);
  EXPECT_THAT(regatta({"show", all[0].id.value}).out, HasSubstr("refused: /nowhere"));
}

TEST_F(GpuRows, TwoRanksWantTwoGpus) {
  use_fake(1);
  const std::string job = write_job({"{name: gpus, backend: nccl, ranks: 2}", kGpu});
  const ProcessResult dry = regatta({"run", job, "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.text();
  EXPECT_THAT(dry.out, AllOf(HasSubstr("refused 2 ranks need 2 GPUs, one for each rank; found 1 GPU"),
                             HasSubstr("libtorch's CUDA half cannot be loaded")))
      << "the stand-in has none";
  EXPECT_FALSE(fs::exists(home()));
  use_fake(0);
  EXPECT_THAT(regatta({"run", job, "--dry-run"}).out, HasSubstr("no CUDA device: the fake driver's words"));
}

TEST_F(GpuRows, AGpuRowThatCanRunIsPlannedOnGpus) {
  use_fake(2);
  options_.environment["REGATTA_FAKE_TORCH"] = "1";
  const std::string job = write_job({"{name: gpus, backend: nccl, ranks: 2}"});
  const Json dry = regatta_json({"run", job, "--dry-run"})["configurations"][0];
  EXPECT_EQ(dry["refused"], nullptr);
  EXPECT_EQ(dry["plan"]["placement"]["gpus_per_node"], 2);
  options_.environment["CUDA_VISIBLE_DEVICES"] = "1";
  const Json one = regatta_json({"run", job, "--dry-run"})["configurations"][0];
  EXPECT_THAT(one["refused"].get<std::string>(), HasSubstr("CUDA_VISIBLE_DEVICES is \"1\""));
}

TEST_F(GpuRows, AutoTriesARankAGpuAndNoMoreThanThereAre) {
  use_fake(2);
  options_.environment["REGATTA_FAKE_TORCH"] = "1";
  const std::string job = write_job({"{name: gpus, backend: nccl, ranks: auto}"});
  const std::string eight = folder_.write("eight.yaml", "pools:\n  here: {gpus_per_node: 8}\n");
  const std::string dry = regatta({"run", job, "--cluster", eight, "--dry-run"}).out;
  EXPECT_THAT(dry, HasSubstr("2 ways to try")) << "a rank on one GPU, and two on two";
  const std::string none = folder_.write("none.yaml", "pools:\n  here: {gpus_per_node: 0}\n");
  const ProcessResult refused = regatta({"run", job, "--cluster", none, "--dry-run"});
  EXPECT_EQ(refused.exit_code, static_cast<int>(ExitCode::kBadConfig)) << refused.text();
}

TEST_F(GpuRows, CpuRanksBesideGpusAreOneLaunch) {
  use_fake(1);
  options_.environment["REGATTA_FAKE_TORCH"] = "1";
  const std::string cluster =
      folder_.write("cluster.yaml", "pools:\n  here: {cores_per_node: 4, price: {usd_per_node_hour: 4}}\n");
  const std::string job = write_job({"{name: mixed, backend: nccl, ranks: 1, cpu_ranks: 3}"});
  const Json row = regatta_json({"run", job, "--cluster", cluster, "--dry-run"})["configurations"][0];
  EXPECT_EQ(row["refused"], nullptr);
  EXPECT_EQ(row["argv"][2], "4") << row["argv"];
  EXPECT_EQ(row["batch_shares"].size(), 4U);
  EXPECT_EQ(row["cost_usd_per_hour"], "4") << "all GPUs, three quarters of the cores";
  const Json& placement = row["plan"]["placement"];
  EXPECT_EQ(placement["ranks"], 4);
  EXPECT_EQ(placement["cpu_ranks"], 3);
  EXPECT_EQ(row["plan"]["training"]["train"]["shares"], "measured");
  EXPECT_THAT(
      regatta({"run", job, "--cluster", cluster, "--dry-run"}).out,
      AllOf(HasSubstr("nccl, 1 GPU rank + 3 CPU ranks x 1 thread"), HasSubstr("until their speed is measured")));
}

TEST_F(GpuRows, CpuRanksWithoutAGpuAreRefusedWithTheRow) {
  const std::string job = write_job({"{name: mixed, backend: nccl, ranks: 2, cpu_ranks: 60}", kOneCore});
  const ProcessResult ended = regatta({"run", job});
  EXPECT_THAT(ended.err, HasSubstr("mixed: refused: /nowhere/libregatta_cuda.so cannot be loaded"));
  const auto all = runs();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].status, RunStatus::kRefused);
  EXPECT_EQ(all[0].cpu_ranks, 60);
  EXPECT_EQ(all[1].status, RunStatus::kDone);
}

TEST_F(GpuRows, TheFilesMustAgreeBeforeTheMachineIsAsked) {
  use_fake(4);
  const std::string cluster = folder_.write("cluster.yaml", "pools:\n  here: {gpus_per_node: 1}\n");
  const ProcessResult ended =
      regatta({"run", write_job({"{name: gpus, backend: nccl, ranks: 2}"}), "--cluster", cluster});
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::kBadConfig)) << ended.text();
  EXPECT_THAT(ended.err, HasSubstr("expected at most 1 rank in pool \"here\" (1 node with 1 GPU), found 2"));
}

TEST_F(GpuRows, NobodyIsAskedWithoutARowOnGpus) {
  use_fake(1);
  const auto loaded = folder_.path() / "loaded";
  options_.environment["REGATTA_FAKE_LOADED"] = loaded;
  EXPECT_EQ(regatta({"run", write_job({kOneCore})}).exit_code, 0);
  EXPECT_FALSE(fs::exists(loaded));
}

}  // namespace
}  // namespace regatta::test
