#pragma once
// Identities: Job > Comparison > Run > Attempt. No bare strings or ints for any of them.

#include <compare>
#include <functional>
#include <string>
#include <string_view>

namespace regatta {

/// A string that names one kind of thing. Comparable and hashable within its own kind only.
template <class Tag>
struct Id {
  std::string value;
  bool empty() const { return value.empty(); }
  auto operator<=>(const Id&) const = default;
};

using RunId = Id<struct RunTag>;                ///< ULID: one configuration, one repeat
using ComparisonId = Id<struct ComparisonTag>;  ///< ULID: one `regatta run`
using JobId = Id<struct JobTag>;                ///< xxh3-128 hex of the resolved job

/// A rank in [0, world_size).
enum class Rank : int {};
constexpr int index(Rank rank) {
  return static_cast<int>(rank);
}

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

template <class Tag>
struct std::hash<regatta::Id<Tag>> {
  std::size_t operator()(const regatta::Id<Tag>& id) const noexcept { return std::hash<std::string>{}(id.value); }
};
