// libregatta_cuda.so as the real worker meets it. A stand-in without CUDA (tests/support/fake_cuda.cpp) plays the part
// of machines that have devices; where the real one was built, it is asked too.

#include "cluster/gpu_probe.hpp"
#include "common/files.hpp"
#include "jobs/plan_files.hpp"
#include "tests/worker/worker_runs.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class CudaPluginRuns : public WorkerRuns {
 protected:
  CudaPluginRuns() { options_.environment["REGATTA_CUDA_PLUGIN"] = REGATTA_TEST_LIBRARIES "/fake_cuda.so"; }

  GpuReport report() const {
    const ProcessResult asked = run({worker(), "--gpus"}, options_);
    EXPECT_EQ(asked.exit_code, 0) << asked.text();
    return gpu_report_from_json(parse_json(asked.out, "--gpus"));
  }
  void set(const std::string& name, const std::string& value) { options_.environment[name] = value; }
};

TEST_F(CudaPluginRuns, SaysWhichDevicesThereAre) {
  set("REGATTA_FAKE_GPUS", "2");
  const GpuReport found = report();
  EXPECT_EQ(found.plugin, REGATTA_TEST_LIBRARIES "/fake_cuda.so");
  EXPECT_EQ(found.nccl, 22809);
  ASSERT_EQ(found.devices.size(), 2U);
  EXPECT_EQ(found.devices[1], (GpuDevice{"Fake 1", "0000:01:00.0", std::int64_t{80} << 30, 9, 0}));
  EXPECT_EQ(found.trouble, "");
  EXPECT_EQ(found.visible, std::nullopt);
}

TEST_F(CudaPluginRuns, HonoursCudaVisibleDevices) {
  set("REGATTA_FAKE_GPUS", "4");
  set("CUDA_VISIBLE_DEVICES", "3,1");
  const GpuReport found = report();
  ASSERT_EQ(found.devices.size(), 2U);
  EXPECT_EQ(found.devices[0].name, "Fake 3");
  EXPECT_EQ(found.visible, "3,1");
}

TEST_F(CudaPluginRuns, SaysWhyThereIsNone) {
  EXPECT_THAT(report().trouble, AllOf(HasSubstr("no driver"), HasSubstr("no CUDA device: the fake driver's words")));
  set("REGATTA_FAKE_ABI", "7");
  EXPECT_THAT(report().trouble, AllOf(HasSubstr("version 7"), HasSubstr("build both together")));
  EXPECT_EQ(report().plugin, "");
  set("REGATTA_CUDA_PLUGIN", "/nowhere/libregatta_cuda.so");
  EXPECT_THAT(report().trouble, HasSubstr("/nowhere/libregatta_cuda.so cannot be loaded"));
  set("REGATTA_CUDA_PLUGIN", folder_.write("text.so", "no library"));
  EXPECT_THAT(report().trouble, HasSubstr("cannot be loaded"));
}

TEST_F(CudaPluginRuns, IsLoadedOnlyWhenTheConfigurationSaysNccl) {
  const fs::path loaded = folder_.path() / "loaded";
  set("REGATTA_FAKE_LOADED", loaded);
  const fs::path mpi = job(1);
  EXPECT_EQ(run({worker(), mpi.string(), "--run-dir", run_dir().string()}, options_).exit_code, 0);
  EXPECT_FALSE(fs::exists(loaded));
  std::string text = read_file(mpi);
  text.replace(text.find("name: one,"), 10, "name: one, backend: nccl,");
  const std::string nccl = folder_.write("nccl.yaml", text);
  const ProcessResult refused = run({worker(), nccl, "--run-dir", (folder_.path() / "other").string()}, options_);
  EXPECT_TRUE(fs::exists(loaded));
  EXPECT_EQ(refused.exit_code, static_cast<int>(ExitCode::kBadConfig)) << refused.text();
  EXPECT_THAT(refused.err, AllOf(HasSubstr("backend nccl on "), HasSubstr("no CUDA device: the fake driver's words")));
  EXPECT_FALSE(fs::exists(folder_.path() / "other")) << "refused before anything is made";
}

TEST_F(CudaPluginRuns, TwoRanksAreRefusedOnceWhereOneDeviceIs) {
  set("REGATTA_FAKE_GPUS", "1");
  set("REGATTA_FAKE_TORCH", "1");
  std::string text = read_file(job(1));
  text.replace(text.find("name: two,"), 10, "name: two, backend: nccl,");
  const std::string file = folder_.write("nccl.yaml", text);
  const ProcessResult refused = run(launch(2, worker(), {file, "--config", "two"}), options_);
  EXPECT_EQ(refused.exit_code, static_cast<int>(ExitCode::kBadConfig)) << refused.text();
  EXPECT_EQ(count_of("two ranks on one GPU need NCCL 2.30.0, found 2.28.9", refused.err), 1) << refused.err;
}

TEST_F(CudaPluginRuns, TheCoordinatorAsksInAProcessOfItsOwn) {
  const fs::path fake = folder_.write("worker",
                                      "#!/bin/sh\necho 'a library says hello'\n"
                                      "echo '{\"plugin\": \"p\", \"trouble\": \"\", \"driver\": 13000, "
                                      "\"runtime\": 13000, \"nccl\": 23000, \"untrained\": \"\", \"visible\": "
                                      "null, \"devices\": []}'\n");
  fs::permissions(fake, fs::perms::owner_all);
  const GpuReport good = ask_for_gpus(fake);
  EXPECT_EQ(good.trouble, "");
  EXPECT_EQ(good.nccl, 23000);
  const fs::path bad = folder_.write("bad", "#!/bin/sh\necho 'driver broke' >&2\nexit 3\n");
  fs::permissions(bad, fs::perms::owner_all);
  EXPECT_THAT(ask_for_gpus(bad).trouble, AllOf(HasSubstr("--gpus"), HasSubstr("driver broke")));
  EXPECT_THAT(ask_for_gpus("/nowhere/worker").trouble, HasSubstr("/nowhere/worker"));
}

#ifdef REGATTA_HAS_CUDA
TEST_F(CudaPluginRuns, TheRealOneLoadsAndAnswers) {
  options_.environment.erase("REGATTA_CUDA_PLUGIN");
  const GpuReport found = report();
  EXPECT_THAT(found.plugin, HasSubstr("libregatta_cuda.so"));
  EXPECT_GE(found.runtime, 13000);
  EXPECT_GE(found.nccl, 20000);
  if (found.devices.empty())
    EXPECT_THAT(found.trouble, HasSubstr("no CUDA device: "));
  else
    EXPECT_GT(found.devices[0].memory_bytes, std::int64_t{1} << 28);
}
#endif

}  // namespace
}  // namespace regatta::test
