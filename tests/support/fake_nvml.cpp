// A management library without a driver behind it: two boards, whose energy grows by a known amount each time it is
// asked.
//   REGATTA_FAKE_NVML_FAILS=init    nvmlInit fails, as without a driver
//   REGATTA_FAKE_NVML_FAILS=energy  boards without an energy counter
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr int kSuccess = 0, kNotSupported = 3, kNotFound = 6, kDriverNotLoaded = 9;
struct Board {
  const char* bus_id;
  unsigned long long energy_mj;
  unsigned step_mj;
};
Board boards[] = {{"00000000:3B:00.0", 5'000'000, 1'500}, {"00000000:5E:00.0", 9'000'000'000'000, 250}};

bool fails(const char* what) {
  const char* named = std::getenv("REGATTA_FAKE_NVML_FAILS");
  return named != nullptr && std::strcmp(named, what) == 0;
}

/// The end of the id is what all of its spellings share.
std::string tail(const std::string& id) {
  std::string lower;
  for (const char c : id) lower += static_cast<char>(std::tolower(c));
  return lower.size() > 7 ? lower.substr(lower.size() - 7) : lower;
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  return fails("init") ? kDriverNotLoaded : kSuccess;
}
int nvmlShutdown() {
  return kSuccess;
}
const char* nvmlErrorString(int result) {
  return result == kDriverNotLoaded ? "Driver Not Loaded" : result == kNotFound ? "Not Found" : "Not Supported";
}
int nvmlSystemGetDriverVersion(char* out, unsigned bytes) {
  std::snprintf(out, bytes, "580.00.fake");
  return kSuccess;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return kSuccess;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Board** out) {
  if (index > 1) return kNotFound;
  *out = &boards[index];
  return kSuccess;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* id, Board** out) {
  for (Board& board : boards) {
    if (tail(id) != tail(board.bus_id)) continue;
    *out = &board;
    return kSuccess;
  }
  return kNotFound;
}
int nvmlDeviceGetName(Board* board, char* out, unsigned bytes) {
  std::snprintf(out, bytes, "Fake board %d", board == &boards[0] ? 0 : 1);
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(Board*, unsigned long long* total_free_used) {
  total_free_used[0] = 80ULL << 30;
  return kSuccess;
}
int nvmlDeviceGetPciInfo_v3(Board* board, char* info) {
  std::snprintf(info + 36, 32, "%s", board->bus_id);  // behind 16 letters and 5 numbers
  return kSuccess;
}
int nvmlDeviceGetPowerManagementLimit(Board*, unsigned* milliwatts) {
  *milliwatts = 700'000;
  return kSuccess;
}
int nvmlDeviceGetTotalEnergyConsumption(Board* board, unsigned long long* millijoules) {
  if (fails("energy")) return kNotSupported;
  *millijoules = board->energy_mj;
  board->energy_mj += board->step_mj;
  return kSuccess;
}
int nvmlDeviceGetUtilizationRates(Board*, unsigned* gpu_memory) {
  gpu_memory[0] = 37;
  gpu_memory[1] = 5;
  return kSuccess;
}
int nvmlDeviceGetCurrPcieLinkGeneration(Board*, unsigned* generation) {
  *generation = 5;
  return kSuccess;
}
int nvmlDeviceGetCurrPcieLinkWidth(Board*, unsigned* width) {
  *width = 16;
  return kSuccess;
}
int nvmlDeviceGetNvLinkState(Board* board, unsigned link, unsigned* active) {
  if (board == &boards[1]) return kNotSupported;
  *active = link < 4 ? 1 : 0;
  return kSuccess;
}

}  // extern "C"
