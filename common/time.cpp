#include "common/time.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

#include "common/error.hpp"

namespace regatta {

Duration from_seconds(double seconds) {
  REGATTA_ENSURE(std::isfinite(seconds) && std::abs(seconds) < 9.2e9, "a duration outside of +-292 years");
  return Duration(static_cast<Duration::rep>(std::llround(seconds * 1e9)));
}

std::string to_text(Timestamp stamp) {
  using namespace std::chrono;
  const auto day = floor<days>(stamp);
  const year_month_day date(day);
  const hh_mm_ss time(stamp - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                     time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

Timestamp parse_timestamp(std::string_view text) {
  using namespace std::chrono;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0, us = 0, used = 0;
  const std::string copy(text);
  const int fields = std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ%n", &y, &mo, &d, &h, &mi, &s, &us, &used);
  const year_month_day date{year(y), month(static_cast<unsigned>(mo)), day(static_cast<unsigned>(d))};
  const bool in_range = h >= 0 && h < 24 && mi >= 0 && mi < 60 && s >= 0 && s < 60 && us >= 0;
  if (fields == 7 && used == 27 && date.ok() && in_range) {
    const Timestamp stamp = sys_days(date) + hours(h) + minutes(mi) + std::chrono::seconds(s) + microseconds(us);
    if (to_text(stamp) == text) return stamp;  // sscanf takes blanks and signs for digits
  }
  throw IoError("expected a time like 2025-07-01T12:00:00.000000Z, found \"" + copy + "\"");
}

}  // namespace regatta
