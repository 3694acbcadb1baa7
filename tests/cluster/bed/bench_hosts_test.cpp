// The bed of `./dev bench hosts`.
#include <gmock/gmock.h>

#include "tests/cluster/bed/bed.hpp"

namespace regatta::test {
namespace {

constexpr const char* kBench = R"(
import hosts, pathlib, sys

def space(process):
    try:
        return (process / "ns/net").readlink()
    except OSError:  # it is gone
        return None

with hosts.Hosts(2, sys.argv[1]) as bed:
    spaces = {space(pathlib.Path("/proc") / file.read_text().strip()) for file in bed.folder.glob("*.pid")}
left = {space(process) for process in pathlib.Path("/proc").glob("[0-9]*")} & spaces
print(len(spaces), "were,", len(left), "left")
)";

class BenchHosts : public BedTest {
 protected:
  BenchHosts() : BedTest({.hosts = 1}) {}
};

TEST_F(BenchHosts, LeaveNoNamespace) {
  const auto peers = write("peers/ddp.py", "").parent_path();
  const auto python = write("venv/bin/python", "#!/bin/sh\n");
  std::filesystem::permissions(python, std::filesystem::perms{0755});
  const auto folder = write("bench/empty", "").parent_path();
  const auto result =
      run({"python3", "-c", kBench, folder}, {.environment = {{"PYTHONPATH", REGATTA_SOURCE_DIR "/tests/benchmarks"},
                                                              {"PYTHONDONTWRITEBYTECODE", "1"},
                                                              {"REGATTA_PEERS", peers},
                                                              {"REGATTA_PEERS_PYTHON", python}}});
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_EQ(result.out, "4 were, 0 left\n") << "n0, n1, n2 and the switch";
}

}  // namespace
}  // namespace regatta::test
