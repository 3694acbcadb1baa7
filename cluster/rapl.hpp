#pragma once
// The processors' own energy counters (RAPL) through the kernel's powercap files, where this user may read them.

#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

namespace regatta {

/// Packages and their memory, summed. One thread.
class RaplMeter {
 public:
  /// `root`: $REGATTA_POWERCAP, else /sys/class/powercap. The other alternative says why there is no meter.
  static std::variant<RaplMeter, std::string> open(const std::filesystem::path& root = powercap_folder());
  static std::filesystem::path powercap_folder();

  /// Looks at the counters. They wrap, the fastest after minutes: look at least every half minute.
  void sample();
  /// Joules since the last take, or since it was opened, up to this moment. NaN when a counter could not be read any
  /// more: what was missed cannot be known.
  double take_j();

  /// "RAPL: package-0, package-0 dram": what is summed.
  const std::string& source() const { return source_; }

 private:
  struct Counter {
    std::filesystem::path file;
    std::uint64_t range_uj = 0, last_uj = 0;
  };

  std::vector<Counter> counters_;
  std::string source_;
  std::uint64_t sum_uj_ = 0;
  bool broken_ = false;
};

/// Counts from `before` to `now` of a counter that goes back to 0 after `range`.
std::uint64_t counted_uj(std::uint64_t before, std::uint64_t now, std::uint64_t range);

}  // namespace regatta
