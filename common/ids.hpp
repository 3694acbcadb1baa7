#pragma once
// Identities: Job > Comparison > Run > Attempt. No bare strings for any of them.

#include <compare>
#include <string>
#include <string_view>

namespace regatta {

/// A string that names one kind of thing. Comparable within its own kind only.
template <class Tag>
struct Id {
  std::string value;
  bool empty() const { return value.empty(); }
  auto operator<=>(const Id&) const = default;
};

using RunId = Id<struct RunTag>;                ///< ULID: one configuration, one repeat
using ComparisonId = Id<struct ComparisonTag>;  ///< ULID: one `regatta run`
using JobId = Id<struct JobTag>;                ///< xxh3-128 hex of the resolved job

/// A fresh ULID: 26 characters of Crockford base 32, 48 bits of milliseconds, then 80 random bits from the kernel.
/// Sorts by creation time across processes. Throws IoError when the kernel gives no randomness.
std::string new_ulid();
inline RunId new_run_id() {
  return RunId{new_ulid()};
}
inline ComparisonId new_comparison_id() {
  return ComparisonId{new_ulid()};
}

/// 26 characters, Crockford alphabet, no overflow of the 128 bits. For ids that come from outside.
bool is_ulid(std::string_view text);

}  // namespace regatta
