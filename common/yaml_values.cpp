#include "common/yaml_values.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "common/time.hpp"

namespace regatta {

namespace {
template <class T>
std::optional<T> parse_exactly(std::string_view text) {
  T value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size() || text.empty()) return {};
  return value;
}

/// Splits "512 MiB" into its number and its unit.
std::pair<std::string_view, std::string_view> split_unit(std::string_view text) {
  const auto last_digit = text.find_last_of("0123456789.");
  if (last_digit == std::string_view::npos) return {text, {}};
  std::string_view unit = text.substr(last_digit + 1);
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  return {text.substr(0, last_digit + 1), unit};
}
}  // namespace

std::optional<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return {};
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  return parse_exactly<std::int64_t>(text);
}
std::optional<std::uint64_t> parse_unsigned(std::string_view text) {
  return parse_exactly<std::uint64_t>(text);
}

std::optional<double> parse_number(std::string_view text) {
  const auto value = parse_exactly<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<double> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 4> kUnits{{{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}}};
  const auto [digits, unit] = split_unit(text);
  const auto value = parse_number(digits);
  if (!value || *value < 0) return {};
  for (const auto& [name, seconds] : kUnits)
    if (unit == name && *value * seconds <= kLongestSeconds) return *value * seconds;
  return {};
}

std::optional<std::int64_t> parse_bytes(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, int>, 6> kUnits{
      {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}};
  const auto [digits, unit] = split_unit(text);
  const auto value = parse_integer(digits);
  if (!value || *value < 0) return {};
  for (const auto& [name, shift] : kUnits)
    if (unit == name && *value <= (INT64_MAX >> shift)) return *value << shift;
  return {};
}

std::optional<std::size_t> find_bad_utf8(std::string_view text) {
  const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
  for (std::size_t at = 0; at < text.size();) {
    const unsigned lead = byte(at);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xc2 ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    // Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte.
    const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (length == 0 || (length > 1 && (byte(at + 1) < low || byte(at + 1) > high))) return at;
    for (std::size_t i = 2; i < length; ++i)
      if (byte(at + i) < 0x80 || byte(at + i) > 0xbf) return at;
    at += length;
  }
  return {};
}

}  // namespace regatta
