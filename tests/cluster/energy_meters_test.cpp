// The meters against sums that the test makes itself: counters in files for RAPL, a stand-in library for NVML.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>

#include "cluster/nvml.hpp"
#include "cluster/rapl.hpp"
#include "common/energy.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// A powercap tree whose counters the test moves.
class Powercap {
 public:
  void zone(const std::string& id, const std::string& name, std::uint64_t range_uj, std::uint64_t energy_uj) const {
    folder_.write(id + "/name", name + "\n");
    folder_.write(id + "/max_energy_range_uj", std::to_string(range_uj) + "\n");
    set(id, energy_uj);
  }
  void set(const std::string& id, std::uint64_t energy_uj) const {
    folder_.write(id + "/energy_uj", std::to_string(energy_uj) + "\n");
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
};

RaplMeter opened(const Powercap& tree) {
  return std::get<RaplMeter>(RaplMeter::open(tree.path()));
}

TEST(Rapl, SumsPackagesAndTheirMemoryAndNothingTwice) {
  const Powercap tree;
  tree.zone("intel-rapl:0", "package-0", 262'143'328'850, 1'000'000);
  tree.zone("intel-rapl:0:0", "core", 262'143'328'850, 0);
  tree.zone("intel-rapl:0:1", "dram", 65'712'999'613, 500);
  tree.zone("intel-rapl:1", "package-1", 262'143'328'850, 7);
  tree.zone("intel-rapl:2", "psys", 262'143'328'850, 0);
  tree.zone("intel-rapl-mmio:0", "package-0", 262'143'328'850, 0);
  RaplMeter meter = opened(tree);
  EXPECT_EQ(meter.source(), "RAPL: package-0, intel-rapl:0:1 dram, package-1");
  EXPECT_EQ(meter.take_j(), 0) << "what was there before does not count";
  for (const char* zone : {"intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"}) tree.set(zone, 99'000'000);
  tree.set("intel-rapl:0", 4'000'000);
  tree.set("intel-rapl:0:1", 1'000'500);
  tree.set("intel-rapl:1", 500'007);
  EXPECT_DOUBLE_EQ(meter.take_j(), 3 + 1 + 0.5);
  EXPECT_EQ(meter.take_j(), 0);
}

TEST(Rapl, CountersThatWrapLoseNothing) {
  EXPECT_EQ(counted_uj(10, 25, 100), 15U);
  EXPECT_EQ(counted_uj(90, 5, 100), 15U);
  EXPECT_EQ(counted_uj(120, 5, 100), 5U) << "a counter beyond its own range";
  const Powercap tree;
  constexpr std::uint64_t kRange = 1'000'003;
  tree.zone("intel-rapl:0", "package-0", kRange, 999'000);
  RaplMeter meter = opened(tree);
  std::mt19937 random(7);
  std::uint64_t at = 999'000, since_take = 0;
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t used = random() % 900'000;
    at = (at + used) % kRange;
    since_take += used;
    tree.set("intel-rapl:0", at);
    if (i % 3 != 0) {
      meter.sample();
      continue;
    }
    EXPECT_DOUBLE_EQ(meter.take_j(), static_cast<double>(since_take) * 1e-6) << i;
    since_take = 0;
  }
}

TEST(Rapl, SaysWhyThereIsNone) {
  const auto why = [](const std::filesystem::path& root) { return std::get<std::string>(RaplMeter::open(root)); };
  EXPECT_THAT(why("/nowhere"), HasSubstr("/nowhere has no intel-rapl package"));
  const Powercap tree;
  tree.zone("intel-rapl:0", "package-0", 100, 0);
  std::filesystem::remove(tree.path() / "intel-rapl:0/energy_uj");
  EXPECT_THAT(why(tree.path()), AllOf(HasSubstr("energy_uj"), HasSubstr("chmod a+r")));
}

TEST(Rapl, ACounterThatGoesAwayIsNoZero) {
  const Powercap tree;
  tree.zone("intel-rapl:0", "package-0", 100'000'000, 5);
  RaplMeter meter = opened(tree);
  std::filesystem::remove(tree.path() / "intel-rapl:0/energy_uj");
  EXPECT_TRUE(std::isnan(meter.take_j()));
}

constexpr const char* kFakeNvml = REGATTA_TEST_LIBRARIES "/fake_nvml.so";

TEST(NvmlTest, TellsWhatABoardIs) {
  const Nvml nvml = std::get<Nvml>(Nvml::open(kFakeNvml));
  EXPECT_EQ(nvml.driver(), "580.00.fake");
  const auto devices = nvml.devices();
  ASSERT_EQ(devices.size(), 2U);
  EXPECT_EQ(devices[0].name, "Fake board 0");
  EXPECT_EQ(devices[0].pci_bus_id, "00000000:3B:00.0");
  EXPECT_EQ(devices[0].memory_bytes, std::int64_t{80} << 30);
  EXPECT_EQ(devices[0].power_limit_w, 700);
  EXPECT_DOUBLE_EQ(devices[0].use.value(), 0.37);
  EXPECT_EQ(devices[0].pcie_generation, 5);
  EXPECT_EQ(devices[0].pcie_width, 16);
  EXPECT_EQ(devices[0].nvlinks, 4);
  EXPECT_EQ(devices[1].nvlinks, 0) << "a board without links";
}

TEST(NvmlTest, SumsTheEnergyOfTheDevicesThatAreUsed) {
  const Nvml nvml = std::get<Nvml>(Nvml::open(kFakeNvml));
  auto both = std::get<NvmlMeter>(NvmlMeter::open(nvml, {"0000:3b:00.0", "0000:5e:00.0"}));
  EXPECT_EQ(both.source(), "NVML: 2 boards");
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(both.take_j(), 1.75, 1e-5) << "the stand-in moves by 1.5 and 0.25 J a look";
  auto one = std::get<NvmlMeter>(NvmlMeter::open(nvml, {"0000:5e:00.0"}));
  EXPECT_NEAR(one.take_j(), 0.25, 1e-5);
  EXPECT_THAT(std::get<std::string>(NvmlMeter::open(nvml, {"0000:99:00.0"})), HasSubstr("Not Found"));
}

TEST(NvmlTest, SaysWhyThereIsNone) {
  EXPECT_THAT(std::get<std::string>(Nvml::open("/nowhere/libnvidia-ml.so.1")), HasSubstr("no NVML: /nowhere"));
  EXPECT_THAT(std::get<std::string>(Nvml::open(REGATTA_TEST_LIBRARIES "/fake_cuda.so")), HasSubstr("nvmlInit_v2"));
  ::setenv("REGATTA_FAKE_NVML_FAILS", "init", 1);
  EXPECT_THAT(std::get<std::string>(Nvml::open(kFakeNvml)), HasSubstr("Driver Not Loaded"));
  ::setenv("REGATTA_FAKE_NVML_FAILS", "energy", 1);
  const Nvml old = std::get<Nvml>(Nvml::open(kFakeNvml));
  EXPECT_FALSE(old.devices()[0].energy_j);
  EXPECT_THAT(std::get<std::string>(NvmlMeter::open(old, {"0000:3b:00.0"})), HasSubstr("no energy counter"));
  ::unsetenv("REGATTA_FAKE_NVML_FAILS");
}

TEST(PowerModel, IsThePoolsWattsByHand) {
  const PowerSpec power{.idle_w = 60, .busy_w = 220, .source = "vendor TDP"};
  const EnergyFigure half = modelled_energy(power, 2, 0.5, 10);
  EXPECT_DOUBLE_EQ(half.value_j, 2 * (60 + 80) * 10);
  EXPECT_EQ(half.kind, FigureKind::kEstimated);
  EXPECT_EQ(half.error_pct, 50);
  EXPECT_EQ(half.source, "60 W idle, 220 W busy: vendor TDP");
  EXPECT_DOUBLE_EQ(modelled_energy(power, 1, 3, 10).value_j, 2200) << "no more than busy";
  EXPECT_EQ(energy_from_json(to_json(half)), half);
  EXPECT_EQ(power_from_json(to_json(power)), power);
  EXPECT_THROW(power_from_json({{"idle_w", 2}, {"busy_w", 1}, {"source", ""}}), IoError);
}

}  // namespace
}  // namespace regatta
