#include "cluster/gpus.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace regatta {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

GpuReport machine_with(int devices, int nccl = 22809) {
  GpuReport report{.plugin = "libregatta_cuda.so", .driver = 13000, .runtime = 13000, .nccl = nccl};
  for (int i = 0; i < devices; ++i)
    report.devices.push_back({.name = "H200", .pci_bus_id = "0000:3b:00.0", .memory_bytes = 1, .capability_major = 9});
  if (devices == 0) report.trouble = "no CUDA device: the driver's words";
  return report;
}

TEST(GpuRefusal, RunsOneRankOnEachGpu) {
  EXPECT_EQ(gpu_refusal({.ranks = 1}, machine_with(1), {}), "");
  EXPECT_EQ(gpu_refusal({.ranks = 8}, machine_with(8), {}), "");
}

TEST(GpuRefusal, NamesWhatIsMissing) {
  const GpuReport none{.trouble = "libregatta_cuda.so is not beside regatta-worker"};
  EXPECT_THAT(gpu_refusal({}, none, {}), HasSubstr("libregatta_cuda.so is not beside regatta-worker"));
  EXPECT_THAT(gpu_refusal({}, machine_with(0), {}), HasSubstr("no CUDA device: the driver's words"));
  GpuReport no_driver = machine_with(0);
  no_driver.driver = 0;
  no_driver.trouble = "no driver of NVIDIA's is loaded";
  EXPECT_THAT(gpu_refusal({}, no_driver, {}), HasSubstr("no driver"));
  EXPECT_THAT(gpu_refusal({.ranks = 3}, machine_with(2), {}),
              AllOf(HasSubstr("3 ranks need 3 GPUs, one for each rank; found 2 GPUs"), HasSubstr("\n  lower ranks")));
  GpuReport answers_only = machine_with(1);
  answers_only.untrained = "libtorch_cuda.so: no such file";
  EXPECT_THAT(gpu_refusal({}, answers_only, {}),
              AllOf(HasSubstr("libtorch_cuda.so: no such file"), HasSubstr("./dev setup --cuda")));
}

TEST(GpuRefusal, SaysWhatHidesDevices) {
  GpuReport hidden = machine_with(0);
  hidden.visible = "";
  EXPECT_THAT(gpu_refusal({}, hidden, {}), HasSubstr("CUDA_VISIBLE_DEVICES is \"\""));
  GpuReport half = machine_with(1);
  half.visible = "1";
  EXPECT_THAT(gpu_refusal({.ranks = 2}, half, {}), HasSubstr("CUDA_VISIBLE_DEVICES is \"1\""));
}

TEST(GpuRefusal, TwoRanksShareAGpuOnlyWhenThePoolSaysSoAndNcclCan) {
  EXPECT_THAT(gpu_refusal({.ranks = 2}, machine_with(1, 23000), {}), HasSubstr("one for each rank"));
  EXPECT_EQ(gpu_refusal({.ranks = 2, .may_share = true}, machine_with(1, 23000), {}), "");
  EXPECT_THAT(gpu_refusal({.ranks = 2, .may_share = true}, machine_with(1, 22909), {}),
              HasSubstr("NCCL 2.30.0, found 2.29.9"));
  EXPECT_THAT(gpu_refusal({.ranks = 3, .may_share = true}, machine_with(1, 23000), {}),
              HasSubstr("3 ranks need 2 GPUs, two ranks at most on each; found 1 GPU"));
}

TEST(GpuRefusal, NamesOtherMakersDevices) {
  const GpuReport none = machine_with(0);
  EXPECT_THAT(gpu_refusal({}, none, {{"AMD", "1002:740f", "0000:03:00.0"}}),
              HasSubstr("\n  the AMD device 1002:740f at 0000:03:00.0 needs ROCm and RCCL"));
  EXPECT_THAT(gpu_refusal({}, none, {{"Intel", "8086:0bd5", "0000:04:00.0"}}), HasSubstr("oneAPI"));
  EXPECT_THAT(gpu_refusal({}, none, {{"NVIDIA", "10de:2335", "0000:05:00.0"}}), HasSubstr("NVIDIA's driver"));
  EXPECT_EQ(gpu_refusal({}, machine_with(1), {{"AMD", "1002:740f", "0000:03:00.0"}}), "") << "beside a CUDA device";
}

TEST(PciGpus, AreDisplaysAndProcessorsOfKnownMakers) {
  const test::TemporaryFolder root;
  const auto device = [&](const std::string& address, const char* type, const char* vendor, const char* id) {
    const std::string folder = "sys/bus/pci/devices/" + address + "/";
    root.write(folder + "class", std::string(type) + "\n");
    root.write(folder + "vendor", std::string(vendor) + "\n");
    root.write(folder + "device", std::string(id) + "\n");
  };
  device("0000:41:00.0", "0x120000", "0x1002", "0x740f");  // an Instinct: a processing accelerator
  device("0000:03:00.0", "0x030200", "0x10de", "0x2335");
  device("0000:02:00.0", "0x020000", "0x8086", "0x1533");  // a network card
  device("0000:01:00.0", "0x030000", "0x1a03", "0x2000");  // a server's own display
  const auto found = pci_gpus(root.path());
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].vendor + " " + found[0].id, "NVIDIA 10de:2335");
  EXPECT_EQ(found[1].address, "0000:41:00.0");
  EXPECT_TRUE(pci_gpus(root.path() / "nothing").empty());
}

TEST(GpuReports, SurviveTheWayThroughJson) {
  GpuReport report = machine_with(2);
  report.visible = "0,1";
  EXPECT_EQ(gpu_report_from_json(to_json(report)), report);
  Json damaged = to_json(report);
  damaged["devices"][0].erase("name");
  EXPECT_THROW(gpu_report_from_json(damaged), IoError);
}

}  // namespace
}  // namespace regatta
