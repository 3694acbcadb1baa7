// Energy from the epoch's line to the comparison, against sums of the test's own.

#include <gtest/gtest.h>

#include "common/files.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class EnergyTest : public SystemTest {
 protected:
  EnergyTest() { options_.environment["REGATTA_POWERCAP"] = (folder_.path() / "powercap").string(); }
  std::string job() { return folder_.write("job.yaml", tiny_job({kOneCore}, 3)); }
};

TEST_F(EnergyTest, ThePoolsPowerEstimatesWhatNoMeterCounts) {
  const std::string cluster = folder_.write("cluster.yaml",
                                            "pools:\n  here: {cores_per_node: 2, power: {idle_w: 60, busy_w: 220, "
                                            "source: vendor TDP}}\n");
  const ProcessResult ended = regatta({"run", job(), "--cluster", cluster});
  ASSERT_EQ(ended.exit_code, 0) << ended.text();
  const auto epochs = runs().at(0).attempts.at(0).epochs;
  ASSERT_EQ(epochs.size(), 3U);
  double later_j = 0;
  for (const auto& epoch : epochs) {
    const double by_hand = (60 + (220 - 60) * 1 / 2.0) * epoch.wall_s;  // one of two cores
    EXPECT_NEAR(epoch.energy_j["value"].get<double>(), by_hand, 1e-9 * by_hand);
    EXPECT_EQ(epoch.energy_j["kind"], "estimated");
    EXPECT_EQ(epoch.energy_j["error_pct"], 50);
    if (epoch.epoch > 1) later_j += by_hand;
  }
  const Json row = regatta_json({"compare"})["configurations"][0];
  EXPECT_NEAR(row["energy_j_per_epoch"].get<double>(), later_j / 2, 1e-9 * later_j);
  EXPECT_EQ(row["energy"]["kind"], "estimated");
  EXPECT_THAT(ended.out, HasSubstr("energy estimated within 50 %: 60 W idle, 220 W busy: vendor TDP"));
  EXPECT_THAT(regatta({"show", runs().at(0).id.value}).out, HasSubstr("estimated within 50 %"));
}

TEST_F(EnergyTest, AMeterThatCanBeReadIsRead) {
  folder_.write("powercap/intel-rapl:0/name", "package-0\n");
  folder_.write("powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n");
  folder_.write("powercap/intel-rapl:0/energy_uj", "12345\n");
  ASSERT_EQ(regatta({"run", job()}).exit_code, 0);
  const auto epochs = runs().at(0).attempts.at(0).epochs;
  EXPECT_EQ(epochs.size(), 3U);
  for (const auto& epoch : epochs) {
    EXPECT_EQ(epoch.energy_j["kind"], "measured");
    EXPECT_EQ(epoch.energy_j["value"], 0) << "this counter stands still";
    EXPECT_EQ(epoch.energy_j["source"], "RAPL: package-0");
  }
}

TEST_F(EnergyTest, WithoutMeterAndPowerThereIsNone) {
  const ProcessResult ended = regatta({"run", job()});
  ASSERT_EQ(ended.exit_code, 0) << ended.text();
  const auto epochs = runs().at(0).attempts.at(0).epochs;
  EXPECT_EQ(epochs.size(), 3U);
  for (const auto& epoch : epochs) EXPECT_EQ(epoch.energy_j, nullptr);
  EXPECT_EQ(regatta_json({"compare"})["configurations"][0]["energy_j_per_epoch"], nullptr);
  EXPECT_THAT(ended.out, Not(HasSubstr("energy")));
}

TEST_F(EnergyTest, DoctorSaysWhatThisMachineCanDo) {
  options_.environment["REGATTA_CUDA_PLUGIN"] = REGATTA_TEST_LIBRARIES "/fake_cuda.so";
  options_.environment["REGATTA_FAKE_GPUS"] = "1";
  options_.environment["REGATTA_NVML"] = REGATTA_TEST_LIBRARIES "/fake_nvml.so";
  const Json can = regatta_json({"doctor"});
  EXPECT_EQ(can["gpus"]["report"]["devices"][0]["name"], "Fake 0");
  EXPECT_THAT(can["gpus"]["refusal"].get<std::string>(), HasSubstr("the fake loader's words"));
  EXPECT_EQ(can["nvml"]["driver"], "580.00.fake");
  EXPECT_EQ(can["nvml"]["devices"].size(), 2U);
  EXPECT_EQ(can["rapl"]["source"], nullptr);
  EXPECT_THAT(can["rapl"]["trouble"].get<std::string>(), HasSubstr("no RAPL counters"));
  const std::string page = regatta({"doctor"}).out;
  EXPECT_THAT(page, AllOf(HasSubstr("CUDA half cannot be loaded: the fake loader's words"), HasSubstr("NCCL 2.28.9"),
                          HasSubstr("Fake 0"), HasSubstr("no RAPL counters"), HasSubstr("580.00.fake"),
                          HasSubstr("power: {idle_w")));
  options_.environment["REGATTA_CUDA_PLUGIN"] = "/nowhere/libregatta_cuda.so";
  options_.environment["REGATTA_NVML"] = "/nowhere/libnvidia-ml.so.1";
  const ProcessResult cannot = regatta({"doctor"});
  EXPECT_EQ(cannot.exit_code, 0) << "a machine without GPUs is not ill";
  EXPECT_THAT(cannot.out, AllOf(HasSubstr("/nowhere/libregatta_cuda.so cannot be loaded"),
                                HasSubstr("no NVML: /nowhere/libnvidia-ml.so.1")));
  EXPECT_FALSE(fs::exists(home()));
}

}  // namespace
}  // namespace regatta::test
