#pragma once
// Wall time is only a stamp in a record; durations come from steady_clock and are std::chrono everywhere inside.

#include <chrono>
#include <string>
#include <string_view>

namespace regatta {

using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;
using Duration = std::chrono::nanoseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

inline Timestamp wall_now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

/// The longest time that a file may speak of, 30 years: beyond any machine's life, and its nanoseconds fit 64 bits.
inline constexpr double kLongestSeconds = 30 * 365.25 * 86'400;

/// Seconds as a double, for records and people only.
template <class Rep, class Period>
double seconds(std::chrono::duration<Rep, Period> duration) {
  return std::chrono::duration<double>(duration).count();
}
/// The inverse, rounded to the nanosecond. Requires a finite number within +-292 years.
Duration from_seconds(double seconds);

/// RFC 3339 in UTC with microseconds: "2025-07-01T12:00:00.000000Z".
std::string to_text(Timestamp stamp);
/// The inverse; exactly that form. Throws IoError saying what was found.
Timestamp parse_timestamp(std::string_view text);

}  // namespace regatta
