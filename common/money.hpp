#pragma once
// Money is int64 nano-USD: decimal text in, decimal text out, integer arithmetic between, and nowhere a double.

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/time.hpp"

namespace regatta {

/// An amount or an hourly rate in 1e-9 USD; up to +-9.2 billion USD.
struct NanoUsd {
  std::int64_t nano = 0;
  auto operator<=>(const NanoUsd&) const = default;
  NanoUsd operator+(NanoUsd other) const { return {nano + other.nano}; }
  NanoUsd operator-(NanoUsd other) const { return {nano - other.nano}; }
  NanoUsd& operator+=(NanoUsd other) { return *this = *this + other; }
};

/// For figures that people or JSON read as doubles; sums never do.
inline constexpr double kUsdPerNano = 1e-9;

/// "0.08925" -> 89'250'000. Digits, one optional dot, at most nine decimals, optional leading '-'.
/// Nothing for anything else (exponents, signs of currency, overflow): the caller knows where the text stood.
std::optional<NanoUsd> parse_usd(std::string_view text);

/// The shortest exact decimal: "0.08925", "3", "-0.000000001".
std::string to_decimal(NanoUsd amount);

/// rate [1/h] x held, times numerator/denominator (the slots' share of a node), rounded half to even once, at the end.
NanoUsd cost_of(NanoUsd rate_per_hour, Duration held, std::int64_t numerator = 1, std::int64_t denominator = 1);

/// Splits `total` in proportion to `weights` so that the parts sum to it exactly: floors, then one nano more for the
/// largest remainders, ties to the lower index. All weights zero: everything goes to the last part.
std::vector<NanoUsd> split_exactly(NanoUsd total, std::span<const std::int64_t> weights);

}  // namespace regatta
