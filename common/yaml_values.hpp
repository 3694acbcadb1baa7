#pragma once
// Single values from their text in a file. Pure; nothing for text that is not exactly such a value.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace regatta {

std::optional<bool> parse_flag(std::string_view text);             ///< true | false
std::optional<std::int64_t> parse_integer(std::string_view text);  ///< no dot, no exponent, no underscore
std::optional<std::uint64_t> parse_unsigned(std::string_view text);
std::optional<double> parse_number(std::string_view text);       ///< finite
std::optional<double> parse_duration(std::string_view text);     ///< "90", "5s", "2m", "1.5h"; seconds, 0 to 30 years
std::optional<std::int64_t> parse_bytes(std::string_view text);  ///< "4096", "512MiB"; B, KiB, MiB, GiB, TiB

/// The first byte that is no part of well-formed UTF-8 (RFC 3629); nothing when all of it is.
std::optional<std::size_t> find_bad_utf8(std::string_view text);

}  // namespace regatta
