#include "common/ids.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>

#include "tests/support/process.hpp"

namespace regatta {
namespace {

std::int64_t wall_milliseconds() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

/// ULID specification: the first ten characters are the milliseconds, base 32, most significant first.
std::int64_t stamp_of(const std::string& ulid) {
  std::int64_t stamp = 0;
  for (const char letter : ulid.substr(0, 10))
    stamp = stamp * 32 + static_cast<std::int64_t>(std::string("0123456789ABCDEFGHJKMNPQRSTVWXYZ").find(letter));
  return stamp;
}

TEST(Ulid, CarriesTheMillisecond) {
  const auto before = wall_milliseconds();
  const std::string ulid = new_ulid();
  const auto after = wall_milliseconds();
  EXPECT_TRUE(is_ulid(ulid)) << ulid;
  EXPECT_GE(stamp_of(ulid), before);
  EXPECT_LE(stamp_of(ulid), after);
}

TEST(Ulid, SortsByCreation) {
  std::string last = new_ulid();
  for (int i = 0; i < 20; ++i) {
    const auto now = wall_milliseconds();
    ASSERT_TRUE(test::wait_until([now] { return wall_milliseconds() > now; }));
    const std::string next = new_ulid();
    EXPECT_LT(last, next);
    last = next;
  }
}

TEST(Ulid, NeverRepeats) {
  std::set<std::string> seen;
  for (int i = 0; i < 20'000; ++i) EXPECT_TRUE(seen.insert(new_ulid()).second);
}

TEST(Ulid, RefusesOtherText) {
  EXPECT_TRUE(is_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
  EXPECT_TRUE(is_ulid("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
  for (const char* text : {"", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAVV", "01arz3ndektsv4rrffq69g5fav",
                           "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARZ3NDEKTSV4RRFFQ69G5FAI", "01ARZ3NDEKTSV4RRFFQ69G5FAL",
                           "01ARZ3NDEKTSV4RRFFQ69G5FAO", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "../../../../../etc/passwd"})
    EXPECT_FALSE(is_ulid(text)) << text;
}

}  // namespace
}  // namespace regatta
