#pragma once
// JSON from outside is checked on the way in: a missing or mistyped key is an IoError that names it.

#include <nlohmann/json.hpp>

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/money.hpp"

namespace regatta {

using Json = nlohmann::ordered_json;

/// Throws IoError "WHERE: not JSON: ..." for text that is none.
Json parse_json(std::string_view text, const std::string& where);

/// The member `key`; throws IoError when `json` is no object or lacks it.
const Json& json_at(const Json& json, const char* key);

template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;

/// `value` as T; errors call it `name`. Numbers must fit T exactly (no 1.5 for an int, no -1 for an unsigned), and so
/// must each item of a list.
template <class T>
T json_as(const Json& value, const std::string& name) {
  bool fits = true;
  if constexpr (kIsVector<T>) {
    if (!value.is_array()) throw IoError(name + ": wrong type: expected a list, found " + value.dump());
    T items;
    for (std::size_t i = 0; i < value.size(); ++i)
      items.push_back(json_as<typename T::value_type>(value[i], name + "[" + std::to_string(i) + "]"));
    return items;
  } else if constexpr (std::is_same_v<T, bool>) {
    fits = value.is_boolean();
  } else if constexpr (std::is_integral_v<T>) {
    fits = value.is_number_integer();
    if (fits && value.is_number_unsigned())
      fits = std::in_range<T>(value.get<std::uint64_t>());
    else if (fits)
      fits = std::in_range<T>(value.get<std::int64_t>());
  } else if constexpr (std::is_floating_point_v<T>) {
    fits = value.is_number();
  } else if constexpr (std::is_same_v<T, std::string>) {
    fits = value.is_string();
  }
  if (!fits) throw IoError(name + ": wrong type or range: " + value.dump());
  try {
    return value.get<T>();
  } catch (const nlohmann::json::exception&) {
    throw IoError(name + ": wrong type: " + value.dump());
  }
}

/// The member `key` as T, as json_as() takes it.
template <class T>
T json_get(const Json& json, const char* key) {
  return json_as<T>(json_at(json, key), key);
}

/// Null or absent gives nothing.
template <class T>
std::optional<T> json_maybe(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key) || json.at(key).is_null()) return {};
  return json_get<T>(json, key);
}

/// Throws IoError "KEY: expected EXPECTED, found FOUND": for rules that a type cannot say.
[[noreturn]] void json_bad(const std::string& key, const std::string& expected, const std::string& found);

/// Seconds that a clock can have counted: from 0 to kLongestSeconds.
double json_seconds(const Json& json, const char* key);

/// Decimal text such as "0.08925".
NanoUsd json_usd(const Json& json, const char* key);
/// The same between two bounds.
NanoUsd json_usd(const Json& json, const char* key, NanoUsd least, NanoUsd most);

/// Non-finite numbers are null in every file.
inline Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}
template <class T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace regatta
