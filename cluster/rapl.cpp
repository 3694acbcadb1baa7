// The tree, from the kernel's Documentation/power/powercap: intel-rapl:0 is a package (AMD's too), intel-rapl:0:1 a
// part of it. Packages and `dram` are summed: `core` and `uncore` lie inside a package, `psys` holds all of it again,
// and intel-rapl-mmio repeats a package by another way. Since 2020 the counters are root's alone on most systems
// (CVE-2020-8694).
#include "cluster/rapl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>

#include "common/error.hpp"
#include "common/files.hpp"

namespace regatta {

namespace {

constexpr double kMicro = 1e-6;

std::string word_of(const fs::path& file) {
  std::string text = read_file(file, 4096);
  text.erase(std::find_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\0'; }), text.end());
  return text;
}

std::uint64_t number_of(const fs::path& file) {
  const std::string text = word_of(file);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty())
    throw IoError(file.string() + ": expected a number, found \"" + text + "\"");
  return value;
}

bool is_counted(const std::string& zone, const std::string& name) {
  const auto colons = std::count(zone.begin(), zone.end(), ':');
  return zone.starts_with("intel-rapl:") &&
         ((colons == 1 && name.starts_with("package")) || (colons == 2 && name == "dram"));
}

}  // namespace

std::uint64_t counted_uj(std::uint64_t before, std::uint64_t now, std::uint64_t range) {
  return now >= before ? now - before : now + (range - std::min(before, range));
}

fs::path RaplMeter::powercap_folder() {
  const char* named = std::getenv("REGATTA_POWERCAP");
  return named != nullptr && *named != '\0' ? named : "/sys/class/powercap";
}

std::variant<RaplMeter, std::string> RaplMeter::open(const fs::path& root) {
  std::error_code none;
  std::vector<fs::path> zones;
  for (const auto& entry : fs::directory_iterator(root, none)) zones.push_back(entry.path());
  std::sort(zones.begin(), zones.end());
  RaplMeter meter;
  try {
    for (const fs::path& zone : zones) {
      const std::string id = zone.filename().string();
      if (!id.starts_with("intel-rapl:")) continue;
      const std::string name = word_of(zone / "name");
      if (!is_counted(id, name)) continue;
      const fs::path file = zone / "energy_uj";
      meter.counters_.push_back({file, number_of(zone / "max_energy_range_uj"), number_of(file)});
      meter.source_ += (meter.source_.empty() ? "RAPL: " : ", ") + (name == "dram" ? id + " dram" : name);
    }
  } catch (const IoError& error) {
    return fmt::format("no RAPL counters: {}\n  they are root's: chmod a+r {}/intel-rapl:*/energy_uj lets others read",
                       error.what(), root.string());
  }
  if (meter.counters_.empty()) return fmt::format("no RAPL counters: {} has no intel-rapl package", root.string());
  return meter;
}

void RaplMeter::sample() {
  for (Counter& counter : counters_) {
    try {
      const std::uint64_t now = number_of(counter.file);
      sum_uj_ += counted_uj(counter.last_uj, now, counter.range_uj);
      counter.last_uj = now;
    } catch (const IoError&) {
      broken_ = true;
    }
  }
}

double RaplMeter::take_j() {
  sample();
  const auto taken = static_cast<double>(sum_uj_) * kMicro;
  sum_uj_ = 0;
  return broken_ ? std::numeric_limits<double>::quiet_NaN() : taken;
}

}  // namespace regatta
